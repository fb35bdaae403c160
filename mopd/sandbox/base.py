"""What a sandbox does, whatever its backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from mopd.settings.verify import LimitSettings

Status = Literal["ok", "runtime_error", "crashed", "timeout", "output_limit", "protocol_error", "infrastructure_error"]
"""How an execution ended. `ok` says that there is a value, not that it is right."""


@dataclass(frozen=True)
class Limits:
    """What a program may use; times in seconds, sizes in bytes."""

    cpu_seconds: float = 6.0
    memory_bytes: int = 512 << 20
    num_processes: int = 64
    file_bytes: int = 16 << 20
    num_open_files: int = 64
    output_bytes: int = 64 << 10

    @classmethod
    def of(cls, settings: LimitSettings) -> Limits:
        """The limits that the settings ask for."""
        return cls(
            settings.cpu_seconds,
            settings.memory_mb << 20,
            settings.num_processes,
            settings.file_mb << 20,
            settings.num_open_files,
            settings.output_kb << 10,
        )


@dataclass(frozen=True)
class Outcome:
    """How one execution ended."""

    status: Status
    value: Any = None
    """`ok` only: the function's value (plain Python values), or everything that a whole program printed (str)."""
    error: str | None = None
    """What went wrong, one line, as the program tells it: for people to read, never to decide by."""
    line: int | None = None
    """The line of the program where it went wrong, from 1."""
    cpu_seconds: float = 0.0
    exact: bool = True
    """Whether `value` says all of what came back: nothing in it was of a class of its own, or stayed in the sandbox."""


class Program(ABC):
    """A program whose functions can be called; each call's time counts anew."""

    @abstractmethod
    def call(self, name: str, args: list[Any]) -> Outcome:
        """`name(*args)`; `Solution.f` makes a new Solution for each call. After anything but `ok` or `runtime_error`
        the process is gone, and the next call starts the program again."""


class Sandbox(ABC):
    """Runs programs, up to `num_slots` at once, from any thread."""

    backend: str
    policy_digest: str
    """12 hex digits: changes with what programs are kept from, not with limits of one call."""
    num_slots: int

    @abstractmethod
    def run(self, source: str, stdin: str, limits: Limits) -> Outcome:
        """Run a whole program on its input; the value is what it printed to stdout."""

    @abstractmethod
    def load(self, source: str, limits: Limits) -> AbstractContextManager[Program]:
        """A program for calls. It is loaded on the first call, whose outcome tells when that fails."""

    @abstractmethod
    def run_tests(
        self, source: str, tests: str, entry_point: str, limits: Limits, further: tuple[str, ...] = ()
    ) -> Outcome:
        """Run trusted test code, in which `entry_point` (and `candidate`, and the names `further`) are the program's
        functions and classes, in another sandbox. `ok` when it ends without an exception; AssertionError is
        `runtime_error` with `error` beginning with "AssertionError"."""

    @abstractmethod
    def close(self) -> None:
        """End everything; no process, file or socket of a program is left."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
