"""Opening the folder of an evaluation: everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from flows.folder.open import ended_cleanly, in_own_process, json_bytes, made_by
from flows.measure.eval.jobs import check_models
from flows.measure.eval.plan import EvalPlan, Model
from flows.measure.eval.request import EvalRequest, Resolved, resolve
from flows.measure.eval.settings import kept_settings
from flows.plan.stage import FREE_SETTINGS
from mopd.errors import InputError
from storage.errors import StorageError
from storage.files import write_replacing
from storage.runs import RUN_FILE, RunFolder


@dataclass(frozen=True)
class Prepared:
    """A request with all that it names looked at."""

    resolved: Resolved
    models: list[Model]

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
        }


@cache
def prepare(request: EvalRequest) -> Prepared:
    """Models, prompts and sandbox are checked in a process of its own. Raises InputError or StorageError."""
    found = resolve(request)
    return Prepared(found, in_own_process(check_models, found.models, found.tasks, found.settings))


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
    there = RunFolder.open(folder.path)
    here = _merged(there, prepared)
    if here != there:
        write_replacing(here.path, here.path / RUN_FILE, json_bytes(here.document))
    return here


def is_finished(folder: RunFolder, prepared: Prepared) -> bool:
    """Whether the last process ended well, and nothing that is asked for is new or left to do."""
    here = _merged(folder, prepared)
    return ended_cleanly(folder) and here == folder and not EvalPlan.of(here).missing(here, names_of(here, prepared))


def names_of(folder: RunFolder, prepared: Prepared) -> list[str]:
    """What the models of the request are called in the folder, whose `run.json` may not have them yet."""
    plan = EvalPlan.of(_merged(folder, prepared))
    return [next(name for name, there in plan.models.items() if _same(there, model)) for model in prepared.models]


def _merged(folder: RunFolder, prepared: Prepared) -> RunFolder:
    """The folder with more models, and with settings that change no sample; not written."""
    EvalPlan.of(folder)
    here = prepared.document
    refused = {key: both for key, both in folder.differences(here["settings"]).items() if key not in FREE_SETTINGS}
    if refused:
        raise StorageError(folder.refusal(refused))
    if folder.document["tasks_digest"] != here["tasks_digest"]:
        raise InputError(f"{folder.path}: was made with other tasks; give the same ones, or choose another --out")
    models = _entries([Model(**entry) for entry in folder.document["models"]], prepared.models)
    return replace(folder, document={**folder.document, "settings": here["settings"], "models": models})


def _entries(there: Sequence[Model], named: Sequence[Model]) -> list[dict[str, Any]]:
    """The models that there are, then the new ones, each by a name of its own."""
    found = list(there)
    for model in named:
        known = next((index for index, one in enumerate(found) if _same(one, model)), None)
        changed = next((one for one in found if one.source == model.source and one.digest != model.digest), None)
        if changed is not None:
            raise InputError(f"{model.source}: changed since it was evaluated; restore it, or choose another --out")
        if known is None:
            found.append(replace(model, name=_free_name(model.name, [one.name for one in found])))
        else:
            found[known] = replace(model, name=found[known].name)
    return [asdict(model) for model in found]


def _same(one: Model, other: Model) -> bool:
    return (one.source, one.digest) == (other.source, other.digest)


def _free_name(name: str, taken: list[str]) -> str:
    """The name, with -2, -3, … behind it while it is taken; capitals make no other name."""
    lower = {one.lower() for one in taken}
    number, free = 1, name
    while free.lower() in lower:
        number += 1
        free = f"{name}-{number}"
    return free
