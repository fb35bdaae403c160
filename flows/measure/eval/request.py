"""What an evaluation is asked for: models, tasks and settings, as far as they are known without opening a model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from flows.folder.commits import commits_of, load_names, pinned
from flows.folder.open import tasks_digest
from flows.measure.eval.settings import eval_settings
from flows.plan.run import RunPlan
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from mopd.hub.names import HubName, dataset_name, model_name
from mopd.models.embedded import BUILDERS
from mopd.settings import Settings
from mopd.tasks.draw import load_tasks
from mopd.tasks.files import read_tasks
from mopd.tasks.task import Task, record_line, task_record
from storage.runs import RunFolder, is_run
from storage.stores.address import in_bucket

AT = "@"
"""Between a run's folder and the number of one of its policies."""
LONGEST_NAME = 60


@dataclass(frozen=True)
class EvalRequest:
    """What the user wrote."""

    models: tuple[str, ...]
    """Folders in Hugging Face format, names on the hub, names of models that are made, run folders, `RUN@N`."""
    tasks: str | None = None
    """A task source; None: the held-out tasks of the first run among the models."""
    reader: str | None = None
    verifier: str | None = None
    limit: int | None = None
    """The first so many tasks alone."""
    k: int = 8
    """Samples a prompt."""
    overrides: tuple[str, ...] = ()
    """`key=value` settings."""


@dataclass(frozen=True)
class NamedModel:
    """A model by what the user called it."""

    text: str
    name: str
    """What it is called in tables, unless another model is called so already."""
    run: RunFolder | None = None
    version: int = 0
    """Of the run's policy; 0 for any other model."""

    @property
    def source(self) -> str:
        """The same wherever the command is started from."""
        if self.run is not None:
            return f"{self.run.address}{AT}{self.version}"
        is_name = self.text in BUILDERS or model_name(self.text) is not None
        return self.text if is_name else str(Path(self.text).expanduser().resolve())


@dataclass(frozen=True)
class ResolvedRequest:
    """A request whose settings are checked and whose tasks are read."""

    settings: Settings
    models: list[NamedModel]
    tasks: list[Task]
    described: dict[str, Any]
    """Where the tasks come from, for `run.json`."""

    @property
    def tasks_digest(self) -> str:
        """sha256 (hex) of all that the tasks say."""
        return _digest(self.tasks)


@cache
def pin_request(request: EvalRequest, out: Path) -> tuple[EvalRequest, dict[str, str]]:
    """The request with its names of the hub at commits, and what these are by name; what they stand for is loaded.

    An evaluation that is there goes on with the commits that it began with. Raises InputError.
    """
    known = commits_of(RunFolder.open(out)) if is_run(out) else {}
    models = {text: name for text in request.models if (name := _repository(text)) is not None}
    names = {f"model {request.models.index(text) + 1}": name for text, name in models.items()}
    tasks = dataset_name(request.tasks or "")
    names |= {"--tasks": tasks} if tasks else {}
    allow_pickled = eval_settings(Settings(), request.overrides, request.k).model.allow_pickled_weights
    commits = load_names(names, known, allow_pickled=allow_pickled) if names else {}
    texts = {text: str(name.at(commits[name.whole])) for text, name in models.items()}
    source = str(tasks.at(commits[tasks.whole])) if tasks else request.tasks
    return replace(request, models=tuple(texts.get(text, text) for text in request.models), tasks=source), commits


def _repository(text: str) -> HubName | None:
    """The repository that a model is named by, unless it is a policy of a run, RUN@N."""
    before = text.rpartition(AT)[0]
    is_policy = before and is_run(_expanded(before))
    return None if is_policy else model_name(text)


@cache
def resolve(request: EvalRequest) -> ResolvedRequest:
    """Raises InputError or StorageError, one line, for what there is not and for settings that can't be."""
    models = [find_model(text) for text in request.models]
    _check_twice(models)
    runs = list({model.run.address: model.run for model in models if model.run is not None}.values())
    base = RunPlan.of(runs[0]).settings if runs else Settings()
    settings = eval_settings(base, request.overrides, request.k)
    if request.limit is not None and request.limit < 1:
        raise InputError(f"--limit {request.limit}: give a number of at least 1, or leave it out")
    tasks, described = _tasks_of(request, runs, settings)
    return ResolvedRequest(settings, models, tasks[: request.limit], {**described, "limit": request.limit})


def find_model(text: str) -> NamedModel:
    """What `text` names. Raises InputError or StorageError where there is no such model or run, or no such policy."""
    path = Path(text).expanduser()
    before, _, number = text.rpartition(AT)
    if is_run(_expanded(text)):
        return _policy(text, RunFolder.open(_expanded(text)), None)
    if before and not path.exists() and is_run(_expanded(before)):
        return _policy(text, RunFolder.open(_expanded(before)), number)
    if (repository := model_name(text)) is not None:
        return NamedModel(text, _name(repository.repo))
    if text not in BUILDERS and not path.exists():
        raise InputError(
            f"{text}: no such model or run; give a folder in Hugging Face format, a name of the hub (org/name), a "
            f"run's folder, RUN{AT}N for its policy N, or {' or '.join(sorted(BUILDERS))}"
        )
    return NamedModel(text, _name(text if text in BUILDERS else path.resolve().name))


def _expanded(text: str) -> str:
    """A folder as it is meant; an address of a bucket as it is."""
    return text if in_bucket(text) else str(Path(text).expanduser())


def _policy(text: str, run: RunFolder, number: str | None) -> NamedModel:
    """A policy of a run: the last one where no number is given."""
    plan = RunPlan.of(run)
    last = len(plan.rounds)
    if number is not None and not (number.isdecimal() and int(number) <= last):
        raise InputError(f"{text}: {run.address} has policies 0 to {last} (0 is the initial model); name one of them")
    version = last if number is None else int(number)
    trained = [0, *(n for n, part in enumerate(plan.rounds, start=1) if part.policy.committed(run) is not None)]
    if version not in trained:
        raise InputError(
            f"{text}: policy {version} is not trained yet; {shell_command('run', run.address)} first, "
            f"or name one that is there, e.g. {run.address}{AT}{trained[-1]}"
        )
    return NamedModel(text, f"{_name(run.name)}{AT}{version}", run, version)


def _name(text: str) -> str:
    """The last part of a path or of a model's name, without what a folder's name can't have everywhere."""
    last = re.split(r"[/:]", text)[-1]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", last).strip("-.")[:LONGEST_NAME] or "model"


def _check_twice(models: Sequence[NamedModel]) -> None:
    if not models:
        raise InputError("name at least one model or run")
    sources = [model.source for model in models]
    twice = next((model for model in models if sources.count(model.source) > 1), None)
    if twice is not None:
        raise InputError(f"{twice.text}: is named twice; name it once")


def _tasks_of(request: EvalRequest, runs: list[RunFolder], settings: Settings) -> tuple[list[Task], dict[str, Any]]:
    if request.tasks is not None:
        named = {"reader": request.reader, "verifier": request.verifier}
        return read_tasks(request.tasks, **named, verify=settings.verify), {"source": request.tasks, **named}
    if request.reader or request.verifier:
        raise InputError("--reader and --verifier: are for the source that --tasks names; add it, or leave them out")
    if not runs:
        raise InputError("--tasks: is needed where no run is named: a file, a folder or a name such as human-eval")
    first, *rest = runs
    tasks = _heldout(first)
    for run in rest:
        if _digest(_heldout(run)) != _digest(tasks):
            raise InputError(
                f"{run.address}: its held-out tasks are not those of {first.address}; say by --tasks what both are "
                "asked"
            )
    return tasks, {"heldout_of": first.address}


def _heldout(run: RunFolder) -> list[Task]:
    """The held-out tasks of a run, as they were when it was made."""
    settings = pinned(RunPlan.of(run).settings, commits_of(run))
    if tasks_digest(settings) != run.document["tasks_digest"]:
        raise InputError(f"{run.address}: the task source changed since the run was made; restore it, or give --tasks")
    heldout = load_tasks(settings.tasks, settings.seed, settings.verify).heldout
    if not heldout:
        raise InputError(f"{run.address}: has no held-out tasks; give some by --tasks")
    return heldout


def _digest(tasks: Sequence[Task]) -> str:
    return hashlib.sha256("".join(record_line(task_record(task)) for task in tasks).encode()).hexdigest()
