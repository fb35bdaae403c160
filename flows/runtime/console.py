"""How far a run is: lines for the terminal and for Prefect's log; what, how far, how fast, how long still."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, TextIO

from mopd.byte_text import byte_text
from storage.shards import Manifest

QUIET_SECONDS = 5.0
"""Time before the first line of a stage; twice as long before each that follows, up to MOST_QUIET_SECONDS."""
MOST_QUIET_SECONDS = 60.0
QUIET_SECONDS_OF_LOGS = 30.0
"""Between two lines of what is loaded, where they go into a file."""

SURE_SHARE = 0.02
"""Before this share of a stage is done, the time it takes to start a model would be most of an estimate."""


class Console:
    """Writes each line to the terminal, where `mopd run` has one, and to the log of the current Prefect run."""

    terminal: ClassVar[TextIO | None] = None

    def __init__(self) -> None:
        self.meters: list[Meter] = []
        """Of the stages that are worked on."""

    def say(self, line: str) -> None:
        """Show a line."""
        _log(line)
        if self.terminal is not None:
            print(line, file=self.terminal, flush=True)

    @classmethod
    def quiet_seconds(cls) -> float:
        """Time between two lines: more of it where nobody watches."""
        watched = cls.terminal is not None and cls.terminal.isatty()
        return QUIET_SECONDS if watched else QUIET_SECONDS_OF_LOGS


class Meter:
    """The progress of one stage: shards that are done, tokens, and estimates from them."""

    def __init__(self, console: Console, *, where: str, stage: str, total: int, done: int = 0) -> None:
        self._console = console
        self._where, self._stage = where, stage
        self._label = f"{where:<10} {stage:<10}"
        self._total, self._done, self._done_before = total, done, done
        self._tokens, self._text = 0, ""
        self._parts: dict[str, float] = {}
        self._made: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self._last_step, self._last_shard = self._began, self._began
        self._last_line, self._quiet_seconds = self._began, QUIET_SECONDS
        self._lock = threading.Lock()

    def __enter__(self) -> Meter:
        self._console.meters.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._console.meters.remove(self)
        if kind is None and self._done > self._done_before:
            self._console.say(self.line(final=True))

    def expect(self, total: int) -> None:
        """There turned out to be more shards."""
        with self._lock:
            self._total = total

    def finished(self, manifest: Manifest) -> None:
        """A shard was committed."""
        with self._lock:
            self._done, self._text = self._done + 1, ""
            self._parts.pop(manifest.key, None)
            self._tokens += int(manifest.info.get("tokens", 0))
            self._made.append(manifest.info)
            self._last_step = self._last_shard = time.monotonic()
        if self._done < self._total:
            self._say_sometimes()

    def report(self, report: dict[str, Any], key: str = "") -> None:
        """What a worker says about the shard it works on, by its key; nothing, where it only goes on."""
        with self._lock:
            if "of" in report:
                self._parts[key], self._text = report["done"] / max(report["of"], 1), report.get("text", "")
                self._last_step = time.monotonic()
        if "loss" in report:
            self._console.say(f"{self._label} {_describe_update(report)}")
        else:
            self._say_sometimes()

    def state(self) -> dict[str, Any]:
        """What the line says, for others than people."""
        with self._lock:
            return {
                "where": self._where,
                "stage": self._stage,
                "done": self._done,
                "part": round(sum(self._parts.values()), 3),
                "shards": self._total,
                "line": self.line(),
            }

    def line(self, *, final: bool = False) -> str:
        """Label, how far, how fast, how long still."""
        seconds = time.monotonic() - self._began
        parts = [f"{self._label} {self._done}/{self._total} shards"]
        if self._text:
            parts.append(self._text)
        if self._done_before:
            parts.append(f"{self._done_before} were there")
        if self._tokens:
            rate = self._tokens / max(self._last_shard - self._began, 1e-6)
            parts.append(f"{self._tokens:,} tokens, {rate:,.0f} tokens/s")
        parts += [makers] if (makers := makers_text(self._made)) else []
        parts.append(f"{clock(seconds)}" if final else f"{clock(seconds)} so far{self._left(seconds)}")
        return ", ".join(parts)

    def _left(self, seconds: float) -> str:
        part = sum(self._parts.values())
        made = self._done - self._done_before + part
        if made < SURE_SHARE * (self._total - self._done_before):
            return ""
        until_step = self._last_step - self._began
        left = until_step / made * (self._total - self._done - part) - (seconds - until_step)
        return f", about {clock(left)} left" if left > 0 else ""

    def _say_sometimes(self) -> None:
        with self._lock:
            if time.monotonic() - self._last_line < self._quiet_seconds:
                return
            self._last_line = time.monotonic()
            self._quiet_seconds = min(2 * self._quiet_seconds, MOST_QUIET_SECONDS)
        self._console.say(self.line())


class Transfers:
    """How far what is loaded has come, by what it is called: reports as `mopd.hub.fetch` gives them."""

    def __init__(self, say: Callable[[str], None], *, quiet_seconds: float = QUIET_SECONDS, what: str = "load") -> None:
        """`what` is done with the bytes."""
        self._say, self._quiet_seconds, self._what = say, quiet_seconds, what
        self._began: dict[str, float] = {}
        self._last_lines: dict[str, float] = {}

    def report(self, report: dict[str, Any]) -> None:
        """At its beginning, now and then, and at its end."""
        name, now = str(report["transfer"]), time.monotonic()
        ended = report["done"] >= report["of"]
        if name not in self._began:
            self._began[name] = now
            self._say(f"{name}: {byte_text(report['of'])} to {self._what}")
        elif ended or now - self._last_lines[name] > self._quiet_seconds:
            self._say(f"{name}: {self._describe(report, now - self._began[name], ended=ended)}")
        else:
            return
        self._last_lines[name] = now

    def _describe(self, report: dict[str, Any], seconds: float, *, ended: bool) -> str:
        """How much of how much, how fast, how long still."""
        rate = (report["done"] - report["begun"]) / max(seconds, 1e-6)
        parts = [f"{byte_text(report['done'])} of {byte_text(report['of'])}", f"{byte_text(rate)}/s"]
        left = (report["of"] - report["done"]) / rate if rate > 0 else None
        parts += [clock(seconds)] if ended else [f"about {clock(left)} left"] if left is not None else []
        return ", ".join(parts)


def count_makers(infos: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """Of what manifests say of their shards: how many replicas made them, and on how many hosts."""
    makers = {(info["host"], info.get("replica")) for info in infos if "host" in info}
    return len(makers), len({host for host, _ in makers})


def makers_text(infos: Iterable[dict[str, Any]]) -> str:
    """`2 replicas on 1 host`; "" where one made them all."""
    replicas, hosts = count_makers(infos)
    return f"{replicas} replicas on {hosts} host{'s' if hosts > 1 else ''}" if replicas > 1 else ""


def clock(seconds: float) -> str:
    """12 s, 3:04 min, 1:02:03 h."""
    whole = round(max(seconds, 0.0))
    if whole < 60:
        return f"{max(seconds, 0.0):.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def _describe_update(report: dict[str, Any]) -> str:
    def number(name: str) -> str:
        value = report.get(name)
        return "none" if value is None else f"{value:.4g}"

    return f"step {report['step']}: loss {number('loss')}, gradient norm {number('grad_norm')}"


def _log(line: str) -> None:
    """Into the log of the flow or task run that this thread works for, if it works for one."""
    if "prefect" not in sys.modules:
        return
    from prefect.exceptions import MissingContextError
    from prefect.logging import get_run_logger

    with suppress(MissingContextError):
        get_run_logger().info(line)
