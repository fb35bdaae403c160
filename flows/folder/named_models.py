"""Models that have a name instead of a folder are made before anything needs them, and the user sees how."""

from __future__ import annotations

from collections.abc import Iterable

from flows.runtime.console import Console
from flows.runtime.messages import Report
from flows.runtime.worker import in_own_process
from mopd.models.embedded import BUILDERS, cached_model, is_made, to_stderr
from mopd.models.teachers import EXTERNAL_PATH
from mopd.settings import Settings
from mopd.settings.teacher import ExternalTeacher


def models_by_setting(settings: Settings) -> dict[str, str]:
    """What the settings call the student and an external teacher, by the setting that does."""
    teacher = settings.train.teacher
    external = {EXTERNAL_PATH: teacher.path} if isinstance(teacher, ExternalTeacher) else {}
    return {"model.path": settings.model.path, **external}


def model_paths(settings: Settings) -> list[str]:
    """What the settings call the student and an external teacher."""
    return list(models_by_setting(settings).values())


def make_models(paths: Iterable[str]) -> None:
    """Make those that have a name and aren't in the cache yet, a line for each step. Raises InputError."""
    names = [path for path in dict.fromkeys(paths) if path in BUILDERS and not is_made(path)]
    if names:
        in_own_process(_make_models, names, report=lambda report: _show(report["line"]))


def _show(line: str) -> None:
    """In the terminal and Prefect's log; a command that runs no flow has stderr alone."""
    Console().say(line)
    if Console.terminal is None:
        to_stderr(line)


def _make_models(_: None, report: Report, names: list[str]) -> None:
    """In a process that may import torch."""
    for name in names:
        cached_model(name, lambda line: report({"line": line}))
