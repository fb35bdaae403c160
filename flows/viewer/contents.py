"""What of runs is packed into a file: a line a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flows.viewer.documents.overview import overview
from flows.viewer.documents.viewed import Json, ViewedRun

Group = tuple[int, str]
"""A round and the id of a prompt."""

OF_RUN: Mapping[str, Callable[[ViewedRun], Json]] = {"overview": overview}
"""Made of a run once."""
OF_GROUPS: Mapping[str, Callable[[ViewedRun, int, Sequence[str]], Iterator[tuple[Any, ...]]]] = {}
"""Of some groups of a round, by few queries: the prompt's id, what else is in the document's key, and the document."""
OF_KEPT: Mapping[str, Callable[[ViewedRun, Sequence[Group]], Json]] = {}
"""Of the groups that the file has room for."""
OF_ALL: Mapping[str, Callable[[Sequence[ViewedRun]], Json | None]] = {}
"""Of all runs together; None where there is nothing to say."""


def documents_of(run: ViewedRun, round: int, prompts: Sequence[str]) -> dict[str, dict[str, Json]]:
    """By prompt, the documents of its group and of what belongs to it, by their keys in the file."""
    found: dict[str, dict[str, Json]] = {prompt: {} for prompt in prompts}
    for name, make in OF_GROUPS.items():
        for prompt, *others, document in make(run, round, prompts):
            key = "/".join(map(str, (run.id, name, round, prompt, *others)))
            found[prompt][key] = document
    return found
