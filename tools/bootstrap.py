"""Builds `.venv` from a pinned lock: `python3 tools/bootstrap.py`. Needs Python >= 3.11 and pip's package sources.

Packages come from `requirements/cpu.lock`, or `cuda.lock` where an NVIDIA GPU is found, without looking at their
dependencies: the lock is complete. uv installs them where pip's sources have it (five times faster), else pip. A stamp
with the lock's hash makes a second call do nothing. Standard library only.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
MIN_PYTHON = (3, 11)
STAMP = "mopd-lock.sha256"

START_UP_IMPORTS = (
    (
        *("torch", "torch._dynamo", "torch._inductor.compile_fx", "transformers.models.llama.modeling_llama"),
        *("vllm", "vllm.entrypoints.llm", "vllm.v1.engine.llm_engine", "vllm.v1.engine.core", "vllm.v1.sample.sampler"),
        *("vllm.v1.worker.{kind}_worker", "vllm.v1.worker.{kind}_model_runner", "vllm.model_executor.models.llama"),
    ),
    (
        *("prefect", "prefect.cli", "prefect.server.api.server", "prefect.workers.process", "duckdb", "rich.table"),
        *("pyarrow.parquet", "pydantic", "hypothesis", "pytest", "_pytest.assertion.rewrite"),
    ),
)
"""What a run and the tests import, in two halves of about equal cost. In `{kind}`: cpu or gpu."""


class BootstrapError(Exception):
    """Something the user has to put right; shown as one line."""


@dataclass(frozen=True)
class PipSources:
    """Where pip is configured to look for packages; uv reads none of it."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    cert: str | None = None
    proxy: str | None = None


def main() -> int:
    """Builds or refreshes the environment; exit code 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=["cpu", "cuda"], help="default: cuda where nvidia-smi finds a GPU, else cpu")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="default: .venv of this checkout")
    arguments = parser.parse_args()
    try:
        check_platform(sys.version_info[:2], platform.system(), platform.machine(), platform.libc_ver()[0])
        bootstrap(arguments.kind or choose_kind(), arguments.venv.absolute())
    except (BootstrapError, OSError) as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 2
    return 0


def bootstrap(kind: str, folder: Path) -> None:
    """Makes `folder` hold exactly what the lock names, or returns at once when its stamp says so."""
    lock = ROOT / "requirements" / f"{kind}.lock"
    wanted = stamp_of(kind, lock.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), str(ROOT))
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    print(f"bootstrap: {folder} from {lock.relative_to(ROOT)} (once; a few GB of disk)", flush=True)
    stamp.unlink(missing_ok=True)
    create_venv(folder)
    python = folder / "bin" / "python"
    install_lock(python, lock)
    remove_strangers(python, lock)
    install_project(python)
    compile_bytecode(python, kind)
    stamp.write_text(wanted)
    print(f"bootstrap: done in {time.monotonic() - started:.0f} s", flush=True)


def check_platform(version: tuple[int, int], system: str, machine: str, libc: str) -> None:
    """Raises BootstrapError where the locks have no packages for this Python or this machine."""
    if version < MIN_PYTHON:
        raise BootstrapError(
            f"Python {version[0]}.{version[1]} is too old; run it as `make PYTHON=python3.11` with 3.11 or newer"
        )
    if (system, machine) != ("Linux", "x86_64") or libc != "glibc":
        raise BootstrapError(
            f"the locks are for Linux with glibc on x86_64, this is {system} {libc} {machine}; "
            "use a Linux container, or install by hand with the transformers engine: pip install -e ."
        )


def choose_kind() -> str:
    """`cuda` where nvidia-smi lists a GPU, else `cpu`."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "cpu"
    try:
        listed = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "cpu"
    return "cuda" if listed.returncode == 0 and "GPU" in listed.stdout else "cpu"


def stamp_of(kind: str, lock: bytes, project: bytes, root: str) -> str:
    """Text of the stamp file: changes with the lock, the project's metadata, the Python and the place."""
    digest = hashlib.sha256(lock + b"\0" + project).hexdigest()
    return f"{kind} {sys.version_info[0]}.{sys.version_info[1]} {digest} {root}\n"


def create_venv(folder: Path) -> None:
    """An empty virtual environment with pip; one that exists and works is kept."""
    python = folder / "bin" / "python"
    same = f"import pip, sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    if python.exists() and subprocess.run([python, "-c", same], capture_output=True).returncode == 0:
        return
    with _step("virtual environment"):
        try:
            venv.create(folder, clear=True, with_pip=True, symlinks=True)
        except subprocess.CalledProcessError as error:
            raise BootstrapError(
                "python3 -m venv failed; install the system's venv package (Debian: apt install python3-venv)"
            ) from error


def install_lock(python: Path, lock: Path) -> None:
    """Installs every package of the lock, uv first, pip where uv can't; PyTorch's CPU index only when needed."""
    sources = pip_sources(_output([str(python), "-m", "pip", "config", "list"]))
    pins = locked_packages(lock.read_text())
    uv = _install_uv(python, pins.get("uv"))
    with _step(f"{len(pins)} packages with {'uv' if uv else 'pip'}"):
        problem = "uv isn't there"
        if uv:
            problem = _try_both(uv_command(python, lock, sources), uv_environment(sources))
        if problem:
            problem = _try_both(pip_command(python, lock), dict(os.environ))
        if problem:
            raise BootstrapError(f"packages can't be installed: {_last_lines(problem)}")


def lacks_cpu_torch(output: str) -> bool:
    """Whether an installer's output says that no source has the CPU build of torch."""
    return re.search(r"torch==\S+\+cpu", output) is not None


def locked_packages(lock: str) -> dict[str, str]:
    """Normalized name -> version of every pin of a lock. Raises BootstrapError for a line that isn't a pin."""
    pins = {}
    for line in lock.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        name, equals, version = line.partition("==")
        if not equals or not version:
            raise BootstrapError(f"the lock has a line that is no pin: {line!r}; run `make lock`")
        pins[normalized(name)] = version.strip()
    return pins


def normalized(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def pip_sources(config: str) -> PipSources:
    """Reads the output of `pip config list`; environment over `install` over `global`, as pip does."""
    options: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in config.splitlines():
            key, equals, value = line.partition("=")
            if equals and key.startswith(f"{section}."):
                options[key.removeprefix(f"{section}.").replace("_", "-")] = str(ast.literal_eval(value))
    return PipSources(
        index_url=options.get("index-url"),
        extra_index_urls=tuple(options.get("extra-index-url", "").split()),
        find_links=tuple(options.get("find-links", "").split()),
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
        no_index=options.get("no-index", "").lower() in ("1", "true", "yes", "on"),
        cert=options.get("cert"),
        proxy=options.get("proxy"),
    )


def uv_command(python: Path, lock: Path, sources: PipSources) -> list[str]:
    """The uv call that installs a lock from pip's sources, best version of all sources as pip has it."""
    command = [str(python.parent / "uv"), "--no-progress", "--no-config", "pip", "install", "--python", str(python)]
    command += ["--no-deps", "--index-strategy", "unsafe-best-match", "--requirements", str(lock)]
    if sources.no_index:
        command.append("--no-index")
    if sources.index_url:
        command += ["--index-url", sources.index_url]
    for option, values in (
        ("--extra-index-url", sources.extra_index_urls),
        ("--find-links", sources.find_links),
        ("--allow-insecure-host", sources.trusted_hosts),
    ):
        command += [part for value in values for part in (option, value)]
    return command


def uv_environment(sources: PipSources) -> dict[str, str]:
    """The environment of that call: pip's certificate bundle and proxy under the names that uv reads."""
    environment = dict(os.environ)
    if sources.cert:
        environment.setdefault("SSL_CERT_FILE", sources.cert)
    if sources.proxy:
        environment.setdefault("HTTPS_PROXY", sources.proxy)
        environment.setdefault("HTTP_PROXY", sources.proxy)
    return environment


def pip_command(python: Path, lock: Path) -> list[str]:
    """The pip call that installs a lock; pip reads its own sources."""
    return [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--requirement", str(lock)]


def remove_strangers(python: Path, lock: Path) -> None:
    """Uninstalls what an earlier lock or a hand left: a stray torchvision breaks `import transformers`."""
    kept = {*locked_packages(lock.read_text()), "mopd", "pip", "uv"}
    listing = "from importlib.metadata import distributions as d; print(*{x.name for x in d() if x.name}, sep='\\n')"
    strangers = [name for name in _output([str(python), "-c", listing]).split() if normalized(name) not in kept]
    if strangers:
        with _step(f"removing {', '.join(sorted(strangers))}"):
            _run([str(python), "-m", "pip", "uninstall", "--quiet", "--yes", *strangers], dict(os.environ), "removal")


def install_project(python: Path) -> None:
    """Installs this checkout editable; offline, with the lock's setuptools."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    with _step("mopd itself, editable"):
        _run([*command, "--editable", str(ROOT)], dict(os.environ), "mopd itself can't be installed")


def compile_bytecode(python: Path, kind: str) -> None:
    """Imports what runs import, so that Python writes its bytecode; without it vLLM's import takes three times as long.

    Also where PYTHONDONTWRITEBYTECODE is set. Compiling all packages takes twice as long, most of it for modules that
    nobody imports; those are compiled when somebody does.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with _step("bytecode"):
        imports = [
            subprocess.Popen(
                [str(python), "-c", import_script(names, kind)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environment, "OMP_NUM_THREADS": "1"},
            )
            for names in START_UP_IMPORTS
        ]
        for process in imports:
            process.wait()


def import_script(names: tuple[str, ...], kind: str) -> str:
    """A program that imports all names; one that can't be imported fails later, where it is used, with its message."""
    device = {"cpu": "cpu", "cuda": "gpu"}[kind]
    lines = ["import contextlib, importlib"]
    for name in names:
        lines += [
            "with contextlib.suppress(ImportError):",
            f"    importlib.import_module({name.format(kind=device)!r})",
        ]
    return "\n".join(lines)


def _install_uv(python: Path, version: str | None) -> bool:
    """Puts the lock's uv into the environment; False where pip's sources don't have it."""
    if version is None:
        return False
    with _step(f"uv {version}"):
        command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", f"uv=={version}"]
        return subprocess.run(command, capture_output=True).returncode == 0


def _try_both(command: list[str], environment: dict[str, str]) -> str:
    """Runs an installer, again with PyTorch's CPU index when torch was not found; "" or what it printed."""
    for extra in ([], ["--extra-index-url", TORCH_CPU_INDEX]):
        ended = subprocess.run([*command, *extra], capture_output=True, text=True, env=environment)
        if ended.returncode == 0:
            return ""
        if not lacks_cpu_torch(ended.stdout + ended.stderr):
            break
    return ended.stdout + ended.stderr or f"exit code {ended.returncode}"


def _run(command: list[str], environment: dict[str, str], what: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    if ended.returncode != 0:
        raise BootstrapError(f"{what}: {_last_lines(ended.stdout + ended.stderr)}")


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _last_lines(text: str, count: int = 4) -> str:
    return " ".join(" ".join(text.strip().splitlines()[-count:]).split())


class _step:
    """Prints what is being done, and its seconds when it is done."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        self.started = time.monotonic()
        print(f"bootstrap: {self.what} ...", end="", flush=True)

    def __exit__(self, kind: object, *_: object) -> None:
        outcome = "failed after" if kind else "done in"
        print(f" {outcome} {time.monotonic() - self.started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
