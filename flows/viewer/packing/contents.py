"""What of runs is packed into a file: a line a document."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.viewer.documents.group import group_documents
from flows.viewer.documents.overview import overview
from flows.viewer.documents.prompts import prompt_filters
from flows.viewer.documents.rollouts.rollout import rollout_documents
from flows.viewer.documents.rollouts.table import rollouts, rounds
from flows.viewer.documents.rollouts.vocabulary import token_ids, vocabulary
from flows.viewer.documents.viewed import Json, ViewedRun

OF_RUN: Mapping[str, Callable[[ViewedRun], Json]] = {
    "overview": overview,
    "prompt_filters": prompt_filters,
    "rounds": rounds,
}
"""Made of a run once."""
OF_GROUPS: Mapping[str, Callable[[ViewedRun, int, Sequence[str]], Iterator[tuple[Any, ...]]]] = {
    "group": group_documents,
    "rollout": rollout_documents,
}
"""Of some groups of a round, by few queries: the prompt's id, what else tells documents apart, and the document."""


@dataclass
class Kept:
    """What a file has room for, of a run's groups."""

    prompts: dict[int, list[str]]
    """Those that are in the file, by round; at first all."""
    token_ids: set[int] = field(default_factory=set)
    """That their rollouts name."""
    num_groups: int = 0
    """Of the run."""

    def __post_init__(self) -> None:
        self.num_groups = self.num_kept

    @property
    def num_kept(self) -> int:
        """Groups in the file."""
        return sum(map(len, self.prompts.values()))

    def keep(self, places: Container[str], run: ViewedRun) -> None:
        """Those groups alone that have a place in the file."""
        kept = {
            round: [prompt for prompt in prompts if document_key(run, round, prompt) in places]
            for round, prompts in self.prompts.items()
        }
        self.prompts = {round: prompts for round, prompts in kept.items() if prompts}


def group_contents(run: ViewedRun, round: int, prompts: Sequence[str], kept: Kept) -> dict[str, dict[str, Json]]:
    """By prompt, the documents of its group and of what belongs to it, by their keys in the file."""
    found: dict[str, dict[str, Json]] = {prompt: {} for prompt in prompts}
    for name, make in OF_GROUPS.items():
        for prompt, *others, document in make(run, round, prompts):
            found[prompt][document_key(run, name, round, prompt, *others)] = document
            if name == "rollout":
                kept.token_ids |= token_ids(document)
    return found


def kept_contents(run: ViewedRun, kept: Kept) -> Iterator[tuple[str, Json]]:
    """What is made of the groups that are in the file, by its keys."""
    for round, kept_prompts in kept.prompts.items():
        yield document_key(run, "rollouts", round), rollouts(run, round, kept_prompts)
    yield document_key(run, "vocabulary"), vocabulary(run, kept.token_ids)


def document_key(run: ViewedRun, *parts: Any) -> str:
    """What the page asks for a document by."""
    return "/".join(map(str, (run.id, *parts)))
