"""A run's settings as others may read them: names of the hub at their commits, no machine's paths and addresses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flows.folder.commits import commits_of, pinned
from flows.folder.named_models import models_by_setting
from mopd.hub.names import DATASET_PREFIX, model_name
from mopd.models.embedded import BUILDERS
from mopd.settings import Settings, parse_settings
from mopd.settings.tasks import FileTasks
from mopd.settings.tree import set_value
from mopd.tasks.generators import GENERATORS
from storage.runs import RunFolder

OF_THE_MACHINE = ("place", "store", "report")
"""Groups of settings that say where a run is and where it is told of, and decide nothing of it."""

WORD = re.compile(r"[A-Za-z]\w*")
LEFT_OUT = "…"


def published_settings(folder: RunFolder, settings: Settings) -> Settings:
    """The settings with the last part of each path alone, and without those of the machine.

    Texts among the arguments of an engine are told where they are words.
    """
    settings = pinned(settings, commits_of(folder))
    tree = settings.model_dump(mode="json", exclude=set(OF_THE_MACHINE))
    set_value(tree, "generate.engine_arguments", _without_places(settings.generate.engine_arguments))
    for name, path in models_by_setting(settings).items():
        set_value(tree, name, _last_part(path) if _is_folder(path) else path)
    if isinstance(settings.tasks, FileTasks):
        for name, source in (("train", settings.tasks.train), ("heldout", settings.tasks.heldout)):
            if source is not None:
                set_value(tree, f"tasks.{name}", _published_source(source))
    return parse_settings(tree)


def _is_folder(path: str) -> bool:
    """Whether a model is neither made by its name nor pinned on the hub."""
    name = model_name(path)
    return path not in BUILDERS and (name is None or name.commit is None)


def _published_source(source: str) -> str:
    if source.startswith(DATASET_PREFIX) or re.split("[:?]", source)[0] in GENERATORS:
        return source
    folder, mark, split = source.rpartition("#")
    return f"{_last_part(folder)}#{split}" if mark else _last_part(source)


def _without_places(value: Any) -> Any:
    """Arguments of an engine whose texts may be paths and addresses, under whatever name: of these, words alone."""
    if isinstance(value, dict):
        return {name: _without_places(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_places(part) for part in value]
    return LEFT_OUT if isinstance(value, str) and not WORD.fullmatch(value) else value


def _last_part(path: str) -> str:
    return Path(path).name or path
