"""The model that a run began with: what it is, and under which license it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.folder.commits import commits_of, pinned
from flows.report.card.license import License, card_license
from flows.report.card.markdown import code
from mopd.errors import InputError
from mopd.hub.fetch import fetch_matching
from mopd.hub.names import HubName, model_name
from mopd.models.embedded import BUILDERS
from mopd.settings import Settings
from storage.runs import RunFolder

CARD_FILE = "README.md"


@dataclass(frozen=True)
class BaseModel:
    """What a card says of it."""

    what: str
    """A phrase, as Markdown."""
    hub: str | None = None
    """`org/name`, where it is a model of the hub, or made of one's weights."""
    loaded_by: str | None = None
    """What transformers loads it by; None where only whoever has it knows."""
    revision: str | None = None
    license: License | None = None
    """What its own card says, where that is at hand."""


def base_model(folder: RunFolder, settings: Settings) -> BaseModel:
    """The initial model of a run, its license from its own card where that can be had."""
    path = pinned(settings, commits_of(folder)).model.path
    name = model_name(path)
    if path in BUILDERS:
        return _made_model(path)
    if name is not None and name.commit:
        what = f"{code(name.repo)} at commit {code(name.commit)}"
        return BaseModel(what, name.repo, name.repo, name.commit, _hub_license(name))
    digest = str(folder.document["model_digest"])
    what = f"a folder named {code(Path(path).name)} (digest {code(digest)})"
    return BaseModel(what, license=card_license(Path(path).expanduser() / CARD_FILE))


def _made_model(path: str) -> BaseModel:
    builder = BUILDERS[path]
    origin, license = builder.origin, builder.license
    what = f"{code(origin)} ({code(path)}: {builder.what})" if origin else f"{code(path)} ({builder.what})"
    return BaseModel(what, origin, license=License(license) if license else None)


def _hub_license(name: HubName) -> License | None:
    """From the hub's cache, else from the hub; None where neither has it."""
    try:
        return card_license(fetch_matching(name, "", [CARD_FILE]) / CARD_FILE)
    except InputError:  # no network: the card says that the license is to be filled in
        return None
