"""Resolves requirements/cpu.lock and requirements/cuda.lock again: `make lock`. Runs in the project's environment."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from bootstrap import ROOT, BootstrapError, _last_lines, _output, pip_sources, uv_command, uv_environment

EXTRAS = ("tasks", "memory", "ray", "s3", "tensorboard", "trackio", "wandb", "mlflow", "site", "dev")
HEADER = """\
# Every package of the {kind} environment, pinned. Made by `make lock` from pyproject.toml (all extras),
# requirements/embedded.in and requirements/overrides-{kind}.txt; not edited by hand.
# Complete: installed with --no-deps by tools/bootstrap.py, for Linux on x86_64.
"""


def main() -> int:
    """Writes both locks, or leaves both as they are and says what can't be resolved."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest of all; default: what is locked stays")
    arguments = parser.parse_args()
    try:
        locks = {kind: resolve(kind, upgrade=arguments.upgrade) for kind in ("cpu", "cuda")}
    except BootstrapError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 2
    for kind, lock in locks.items():
        (ROOT / "requirements" / f"{kind}.lock").write_text(lock)
        print(f"requirements/{kind}.lock: {lock.count('==')} packages")
    return 0


def resolve(kind: str, *, upgrade: bool) -> str:
    """The text of a lock, with what is locked by now where it can stay, unless all is to be upgraded.

    Raises BootstrapError when the requirements contradict each other.
    """
    python = Path(sys.executable)
    sources = pip_sources(_output([str(python), "-m", "pip", "config", "list"]))
    install = uv_command(python, Path("unused"), sources)
    source_options = install[install.index("--requirements") + 2 :]
    requirements = ROOT / "requirements"
    command = [install[0], "--no-progress", "--no-config", "pip", "compile", "--no-annotate", "--no-header"]
    command += ["--index-strategy", "unsafe-best-match", "--python-version", "3.11"]
    command += ["--python-platform", "x86_64-unknown-linux-gnu", *_options(kind, *EXTRAS)]
    command += ["--override", str(requirements / f"overrides-{kind}.txt"), *source_options]
    command += [str(ROOT / "pyproject.toml"), str(requirements / "embedded.in")]
    with tempfile.NamedTemporaryFile("w+", suffix=".lock") as pins:
        pins.write("" if upgrade else (requirements / f"{kind}.lock").read_text())
        pins.flush()
        command += ["--output-file", pins.name]
        ended = subprocess.run(command, capture_output=True, text=True, env=uv_environment(sources))
    if ended.returncode != 0:
        raise BootstrapError(f"{kind}: {_last_lines(ended.stderr, 12)}")
    return HEADER.format(kind=kind) + ended.stdout


def _options(*extras: str) -> list[str]:
    return [word for extra in extras for word in ("--extra", extra)]


if __name__ == "__main__":
    sys.exit(main())
