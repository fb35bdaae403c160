"""The spans of a command and of all its workers, on request (`mopd run --profile`)."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import psutil

from flows.runtime.messages import Report
from flows.runtime.places.base import REPLICA
from mopd.timeline import Span, record, take_spans

PROFILE = "MOPD_PROFILE"
"""In the environment of a run and its workers: spans are kept."""


class Process(NamedTuple):
    """Whose spans they are."""

    host: str
    pid: int
    name: str
    """`mopd run` itself, or a replica such as `engine-0`."""


_collected: list[tuple[Process, list[Span]]] = []


def begin_profile() -> None:
    """Keep spans here, and in workers that start from now on."""
    os.environ[PROFILE] = "1"
    _collected.clear()
    began = psutil.Process().create_time()
    record(Span("mopd run", "start", began, time.time() - began, "MainThread"))


def profiled_job(job: Callable[..., Any], loaded: Any, report: Report, *args: Any) -> Any:
    """The job; what it and the load before it spent their time on is reported before its result."""
    try:
        return job(loaded, report, *args)
    finally:
        if spans := take_spans():
            report({"spans": spans, "process": _this_process()})


def collecting(report: Report) -> Report:
    """A report that keeps the spans of workers for the profile, and passes everything else on."""

    def passed_on(message: dict[str, Any]) -> None:
        if "spans" in message:
            _collected.append((message["process"], message["spans"]))
        else:
            report(message)

    return passed_on


def collected_spans() -> list[tuple[Process, list[Span]]]:
    """By process, this one's first."""
    return [(_this_process(), take_spans()), *_collected]


def _this_process() -> Process:
    return Process(platform.node(), os.getpid(), os.environ.get(REPLICA, "mopd run"))
