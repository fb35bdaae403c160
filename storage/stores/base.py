"""Where a run's files lie: one interface, a folder on this host (`stores.local`) or a bucket (`stores.objects`).

A file's name is its path in the run: `scores/round=0000/shard-00003-1a2b3c4d5e6f.parquet`. Nothing outside the stores
renames, links, locks or globs. What is not there raises FileNotFoundError, what can't be used StorageError.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Entry:
    """A file as a listing shows it."""

    bytes: int
    stamp: str
    """Another one whenever the file was written again: time and place of the last change, or an object's ETag."""
    modified: float
    """Seconds since the epoch of its last change."""


class Lease(Protocol):
    """What holds a run for one process. It only saves work: two writers at once leave a whole run too."""

    def read(self) -> str:
        """What the holder before wrote last."""

    def write(self, text: str) -> None:
        """Say who holds it, for others to read."""


@dataclass(frozen=True)
class Holder:
    """Who holds a run, or held it last."""

    text: str
    """As it wrote itself into the lease; "" where that one ended well, or nobody ever held it."""
    held: bool
    beat: str = ""
    """Of a lease that its holder writes again and again: another one each time. "" where the system frees it."""


class Damaged(Exception):
    """A file, named in the run, that isn't there or has other bytes than were committed."""


class Held(Exception):
    """Another process holds the run; says which, as it wrote itself into the lease."""


Settle = Callable[[bytes | None], bool]
"""Whether what stands under a name (None: nothing) is to stay there; may raise, so that nothing is written."""


class Store(Protocol):
    """A run's files. Small, and can be pickled: it goes to worker processes and to other hosts."""

    def __hash__(self) -> int:
        """By where it is."""

    @property
    def address(self) -> str:
        """As people name it: `/folder`, or `s3://bucket/prefix`."""

    @property
    def host_folder(self) -> Path:
        """On this host: the run itself, or, of a run in a bucket, what can't lie there: logs, scratch, copies."""

    @property
    def renames(self) -> bool:
        """Whether a folder gets its name at once; else each attempt at one has a name of its own."""

    def read(self, name: str) -> bytes:
        """A file's content."""

    def stat(self, name: str) -> Entry | None:
        """A file as it is now; None where there is none."""

    def list_files(self, prefix: str) -> dict[str, Entry]:
        """All files below a folder (`scores/round=0000/`, "" for all), by name, in order; temporary ones left out."""

    def list_names(self, prefix: str) -> dict[str, str]:
        """The same files with what tells that a name has got another file: faster than to look at each of them."""

    def list_beginning(self, beginning: str) -> list[str]:
        """The names of the files of a folder that begin so (`scores/round=0000/shard-00003-`), at little cost."""

    def is_empty(self) -> bool:
        """Whether nothing lies there yet."""

    def check(self) -> None:
        """Raises StorageError, in one line, for what can be found out before anything is written."""

    def prepare(self) -> None:
        """Get ready to be written to. Raises StorageError, in one line, where that can't be."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole, unless it exists: True for the one writer that created it, False for all others."""

    def replace(self, name: str, content: bytes) -> None:
        """Write a file whole, over what is there: a reader sees the old or the new content, nothing between."""

    def swap(self, name: str, before: bytes, content: bytes) -> bool:
        """Write a file whole over one that has the content `before`; False where it has another one, or is gone."""

    def create_all(self, files: dict[str, bytes]) -> None:
        """Write the files of a new run, the last one last: without it, a prefix of a bucket is no run.

        On a file system all are there at once, or none.
        """

    def publish(self, name: str, content: bytes, *, settle: Settle, data: tuple[Path, str] | None = None) -> bytes:
        """Put data, then the manifest that names it, last; returns the manifest that stands there in the end.

        `data`: a file or folder of `scratch`, and the name that it gets, which no other content has. `settle` is asked
        about what is there under `name`. Killed at any point, this leaves all, or nothing that counts.
        """

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all below it: gone at once where it can be, if it is there."""

    def move(self, name: str, target: str) -> bool:
        """Give a file, or a folder with all below it, another name; False where it is too large for that and stays."""

    def scratch(self, name: str) -> AbstractContextManager[Path]:
        """A fresh path on this host to write what `publish` takes; what still lies there in the end is removed."""

    def alone(self) -> AbstractContextManager[bool]:
        """Within it nobody publishes, where the store can see to that; a bucket can't, and `publish` looks again.

        Gives whether nobody has anything in `scratch` either: then all that lies there was left by killed processes.
        """

    def list_temporary(self) -> dict[str, int]:
        """What lies in the scratch place, and the bytes of each."""

    def sweep(self, grace_seconds: float) -> list[str]:
        """Remove what killed writers left in the scratch place, untouched for that long; returns names.

        A writer that lives after all gets a FileNotFoundError.
        """

    def local_file(self, name: str, sha256: str) -> Path:
        """The file, or a copy of it, on this host; Damaged where it has other bytes than those of that sha256."""

    def local_folder(self, name: str, files: dict[str, dict[str, Any]]) -> Path:
        """A folder on this host with these of a folder's files; Damaged for one that has other bytes.

        `files`: their `bytes` and `sha256` by name in it. A copy is checked against them when it is made.
        """

    def sha256(self, name: str) -> str:
        """sha256 of a file's bytes, in hex."""

    def arrow(self, name: str) -> tuple[Any, str]:
        """The pyarrow file system that has a file, and its path there."""

    def beside(self, relative: str) -> Store:
        """The store at a path relative to this one."""

    def path_from(self, address: str, name: str = "") -> str:
        """How one gets from that address to a file here: the relative path on file systems, the address otherwise."""

    def hold(self) -> AbstractContextManager[Lease]:
        """Hold the run for this process. Raises Held while another one does."""

    def holder(self) -> Holder:
        """Who holds the run, without taking it from anybody."""
