"""Models by name: which files of a repository make one, and what is refused before they are loaded."""

from __future__ import annotations

import json
from pathlib import Path

from mopd.errors import InputError
from mopd.hub.errors import where
from mopd.hub.fetch import Progress, fetch_files, fetch_matching, list_files, pin, silent
from mopd.hub.names import HubName
from mopd.hub.views import is_there, publish_view, view_folder
from mopd.models.formats import check_code, refuse_pickled

SMALL_FILES = (
    *("config.json", "generation_config.json", "tokenizer*", "chat_template*", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.*", "merges.txt", "tekken.json", "spiece.model"),
    *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"),
    *("model.safetensors.index.json", "pytorch_model.bin.index.json"),
)
"""Beside weights, what a tokenizer, a model or vLLM reads of a folder."""
SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"


def fetch_model(name: HubName, setting: str, *, allow_pickled: bool = False, progress: Progress = silent) -> HubName:
    """The name at its commit, its files loaded. A pinned name whose files are there needs no network.

    Raises InputError: not found, gated, no network, no room, weights that are pickled or absent, code of its own.
    """
    name = pin(name, setting)
    if is_there(view_folder(name)):
        return name
    snapshot = fetch_matching(name, setting, list(SMALL_FILES))
    sizes = list_files(name, snapshot)
    check_code(snapshot, where(setting, name))
    weights = _choose_weights(where(setting, name), sizes, snapshot, allow_pickled=allow_pickled)
    small = [path for path in snapshot.iterdir() if any(path.match(pattern) for pattern in SMALL_FILES)]
    large = fetch_files(name, setting, weights, sizes=sizes, snapshot=snapshot, progress=progress)
    publish_view(view_folder(name), [*small, *large])
    return name


def hub_folder(name: HubName, setting: str) -> Path:
    """The folder of a model; without a network where the name is pinned. Raises InputError."""
    pinned = name if name.commit and is_there(view_folder(name)) else fetch_model(name, setting)
    return view_folder(pinned)


def _choose_weights(place: str, sizes: dict[str, int], snapshot: Path, *, allow_pickled: bool) -> list[str]:
    """The files of the weights: safetensors, else pickled ones, and no copies in other formats."""
    for first in (SAFETENSORS, PICKLED):
        names = [first] if first in sizes else _indexed(snapshot / f"{first}.index.json", place)
        absent = [name for name in names if name not in sizes]
        if absent:
            raise InputError(
                f"{place}: its index names {absent[0]}, which the repository lacks; choose another revision"
            )
        if names and first == PICKLED and not allow_pickled:
            raise refuse_pickled(place)
        if names:
            return names
    raise InputError(f"{place}: holds no {SAFETENSORS}; choose a repository with weights for transformers")


def _indexed(index: Path, place: str) -> list[str]:
    """The files that an index names; none where there is no index."""
    if not index.is_file():
        return []
    try:
        names = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{place}: {index.name} can't be read; choose another revision") from error
    return sorted(name for name in names if isinstance(name, str) and "/" not in name)
