"""Opening the folder of an evaluation: everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from flows.folder.commits import HUB, Commits, commits_of
from flows.folder.named_models import make_models
from flows.folder.open import ended_cleanly, made_by
from flows.measure.eval.jobs import check_models
from flows.measure.eval.plan import EvalPlan, Model
from flows.measure.eval.request import EvalRequest, ResolvedRequest, pin_request, resolve
from flows.measure.eval.settings import kept_settings, kept_settings_of
from flows.plan.stage import is_free
from flows.runtime.places.open import check_place
from flows.runtime.worker import in_own_process
from mopd.errors import InputError
from storage.address import open_store
from storage.errors import StorageError
from storage.runs import RUN_FILE, RunFolder


@dataclass(frozen=True)
class Prepared:
    """A request with all that it names looked at."""

    resolved: ResolvedRequest
    models: list[Model]
    commits: Commits
    """Of names of the hub."""

    @property
    def document(self) -> dict[str, Any]:
        """What `run.json` says of an evaluation without any model."""
        return {
            "kind": "evaluation",
            "settings": kept_settings(self.resolved.settings),
            "tasks": self.resolved.described,
            "tasks_digest": self.resolved.tasks_digest,
            "num_tasks": len(self.resolved.tasks),
            "models": [],
            **({HUB: dict(self.commits)} if self.commits else {}),
        }


@cache
def prepare(request: EvalRequest, out: Path) -> Prepared:
    """Models, prompts and sandbox are checked in a process of its own, names of the hub loaded before.

    Raises InputError or StorageError.
    """
    request, commits = pin_request(request, out)
    resolved = resolve(request)
    check_place(resolved.settings, open_store(out))
    make_models(model.text for model in resolved.models)
    models = in_own_process(check_models, resolved.models, resolved.tasks, resolved.settings)
    return Prepared(resolved, models, commits)


def open_evaluation(prepared: Prepared, out: Path) -> RunFolder:
    """The folder of an evaluation, created if it isn't there; one that is there is left as it is.

    Raises InputError or StorageError, before anything is written, for a folder that was made by other settings or
    tasks, or with another model of the same place.
    """
    if (out / RUN_FILE).exists():
        folder = RunFolder.open(out)
        _merged(folder, prepared)
        return folder
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty and is not an evaluation (no {RUN_FILE}); choose another --out")
    document = {**prepared.document, "models": _entries([], prepared.models), **made_by()}
    return RunFolder.create(out, document)


def note_request(folder: RunFolder, prepared: Prepared) -> RunFolder:
    """The folder with the models of the request in its `run.json`. The caller holds the folder's lock."""
    kept = RunFolder.open(folder.store)
    merged = _merged(kept, prepared)
    if merged != kept:
        merged.save(kept)
    return merged


def is_finished(folder: RunFolder, prepared: Prepared) -> bool:
    """Whether the last process ended well, and nothing that is asked for is new or left to do."""
    same = _merged(folder, prepared) == folder
    return ended_cleanly(folder) and same and not EvalPlan.of(folder).missing(folder, model_names(folder, prepared))


def model_names(folder: RunFolder, prepared: Prepared) -> list[str]:
    """What the models of the request are called in the folder, whose `run.json` may not have them yet."""
    models = EvalPlan.of(_merged(folder, prepared)).models.values()
    names = {_identity(model): model.name for model in models}
    return [names[_identity(model)] for model in prepared.models]


def _merged(folder: RunFolder, prepared: Prepared) -> RunFolder:
    """The folder with more models, and with settings that change no sample; not written."""
    EvalPlan.of(folder)
    asked = prepared.document
    known = {**folder.document, "settings": kept_settings(kept_settings_of(folder))}
    changed = replace(folder, document=known).differences(asked["settings"])
    if refused := {key: pair for key, pair in changed.items() if not is_free(key)}:
        raise StorageError(folder.refusal(refused))
    if folder.document["tasks_digest"] != asked["tasks_digest"]:
        raise InputError(f"{folder.address}: was made with other tasks; give the same ones, or choose another --out")
    models = _entries([Model(**entry) for entry in folder.document["models"]], prepared.models)
    document = {**folder.document, "settings": asked["settings"], "models": models}
    commits = {**commits_of(folder), **prepared.commits}
    return replace(folder, document={**document, **({HUB: commits} if commits else {})})


def _entries(kept: Sequence[Model], asked: Sequence[Model]) -> list[dict[str, Any]]:
    """The models that there are, then the new ones, each by a name of its own."""
    models = {_identity(model): model for model in kept}
    for model in asked:
        if any(known.source == model.source and known.digest != model.digest for known in models.values()):
            raise InputError(f"{model.source}: changed since it was evaluated; restore it, or choose another --out")
        known = models.get(_identity(model))
        name = known.name if known else _free_name(model.name, [taken.name for taken in models.values()])
        models[_identity(model)] = replace(model, name=name)
    return [asdict(model) for model in models.values()]


def _identity(model: Model) -> tuple[str, str]:
    return model.source, model.digest


def _free_name(name: str, taken: list[str]) -> str:
    """The name, with -2, -3, … behind it while it is taken; capitals make no other name."""
    lower = {taken_name.lower() for taken_name in taken}
    numbered = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(free for free in numbered if free.lower() not in lower)
