"""Names of repositories: `org/name`, `org/name@revision`, `hub:org/name#config/split@revision`."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mopd.errors import InputError

DATASET_PREFIX = "hub:"
_PART_OF_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REPOSITORY = re.compile(rf"{_PART_OF_NAME}/{_PART_OF_NAME}")
_MODEL = re.compile(rf"(?P<repo>{_PART_OF_NAME}/{_PART_OF_NAME})(?:@(?P<revision>\S+))?")
_DATASET = re.compile(rf"hub:(?P<repo>{_PART_OF_NAME}/{_PART_OF_NAME})(?:#(?P<part>[^@]+))?(?:@(?P<revision>\S+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """A repository of the hub, at a revision."""

    kind: Literal["model", "dataset"]
    repo: str
    """`org/name`."""
    revision: str | None
    """A branch, tag or commit; None is the main branch."""
    part: str = ""
    """Of a data set: a split, a configuration, or `configuration/split`."""

    def __str__(self) -> str:
        part = f"#{self.part}" if self.part else ""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{DATASET_PREFIX if self.kind == 'dataset' else ''}{self.repo}{part}{revision}"

    @property
    def commit(self) -> str | None:
        """The commit, where the name says it."""
        return self.revision if self.revision and _COMMIT.fullmatch(self.revision) else None

    @property
    def whole(self) -> str:
        """The name without a part: what is pinned, so that all splits of a data set come from one commit."""
        return str(replace(self, part=""))

    def at(self, commit: str) -> HubName:
        """The same at a commit."""
        return replace(self, revision=commit)


def model_name(text: str | Path, known: Container[str] = ()) -> HubName | None:
    """The repository that names a model, or None: what is an existing folder, or looks like a path, is a folder.

    `known`: names that were found on the hub before, whatever folder there is by now.
    """
    match = _MODEL.fullmatch(str(text))
    if match is None or (str(text) not in known and Path(text).expanduser().exists()):
        return None
    return HubName("model", match["repo"], match["revision"])


def repository_name(text: str, setting: str) -> HubName:
    """A repository that a model is to be put into. Raises InputError for a name that is none."""
    if not _REPOSITORY.fullmatch(text):
        raise InputError(f"{setting} {text}: is no repository of the hub; write org/name")
    return HubName("model", text, None)


def dataset_name(source: str) -> HubName | None:
    """The repository of a task source `hub:…`, None for other sources. Raises InputError for a name that is none."""
    if not source.startswith(DATASET_PREFIX):
        return None
    match = _DATASET.fullmatch(source)
    if match is None:
        raise InputError(f"{source}: is no data set of the hub; write hub:org/name#config/split@revision")
    return HubName("dataset", match["repo"], match["revision"], match["part"] or "")
