"""What of runs is packed into a file: a line a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flows.viewer.documents.group import group_documents
from flows.viewer.documents.overview import overview
from flows.viewer.documents.prompts import prompt_filters, prompts
from flows.viewer.documents.rollout import rollout_documents
from flows.viewer.documents.rollouts import rollouts, rounds
from flows.viewer.documents.viewed import Json, ViewedRun
from flows.viewer.documents.vocabulary import vocabulary

Group = tuple[int, str]
"""A round and the id of a prompt."""
Keyed = tuple[Any, ...]
"""What tells a document from others of its name, and the document."""

OF_RUN: Mapping[str, Callable[[ViewedRun], Json]] = {
    "overview": overview,
    "prompts": prompts,
    "prompt_filters": prompt_filters,
    "rounds": rounds,
}
"""Made of a run once."""
OF_GROUPS: Mapping[str, Callable[[ViewedRun, int, Sequence[str]], Iterator[Keyed]]] = {
    "group": group_documents,
    "rollout": rollout_documents,
}
"""Of some groups of a round, by few queries: the prompt's id, what else tells documents apart, and the document."""


def documents_of(run: ViewedRun, round: int, prompts: Sequence[str]) -> dict[str, dict[str, Json]]:
    """By prompt, the documents of its group and of what belongs to it, by their keys in the file."""
    found: dict[str, dict[str, Json]] = {prompt: {} for prompt in prompts}
    for name, make in OF_GROUPS.items():
        for prompt, *others, document in make(run, round, prompts):
            found[prompt][document_key(run, name, round, prompt, *others)] = document
    return found


def documents_of_kept(run: ViewedRun, kept: Sequence[Group]) -> Iterator[tuple[str, Json]]:
    """What is said of all groups that the file has room for together, by its key."""
    for round in sorted({round for round, _ in kept}):
        prompts = [prompt for number, prompt in kept if number == round]
        yield document_key(run, "rollouts", round), rollouts(run, round, prompts)
    yield document_key(run, "vocabulary"), vocabulary(run, run.named_tokens)


def document_key(run: ViewedRun, *parts: Any) -> str:
    """What the page asks for a document by."""
    return "/".join(map(str, (run.id, *parts)))
