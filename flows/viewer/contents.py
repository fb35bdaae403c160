"""What the page asks for, a line a document: what is packed into a file, and what a server makes when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.viewer.documents.group import group_document
from flows.viewer.documents.overview import overview
from flows.viewer.documents.paging import PageRequest
from flows.viewer.documents.prompts import prompt_filters, prompts_page
from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.errors import InputError

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


@dataclass(frozen=True)
class Served:
    """A document of a run that a server makes."""

    make: Callable[..., Json | None]
    """Of the run and the parameters, by their names; None where there is none."""
    parameters: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    """How each is read."""

    def make_for(self, run: ViewedRun, given: Mapping[str, str]) -> Json | None:
        """The document, by parameters as an address has them. Raises InputError for one that is missing or wrong."""
        try:
            values = {name: read(given[name]) for name, read in self.parameters.items()}
        except (KeyError, ValueError) as error:
            wanted = ", ".join(self.parameters)
            raise InputError(f"what is asked of the run is not understood: {error}; it takes {wanted}") from error
        return self.make(run, **values)


SERVED: Mapping[str, Served] = {
    "overview": Served(overview),
    "prompt_filters": Served(prompt_filters),
    "group": Served(group_document, {"round": int, "prompt": str}),
}
"""Made when it is asked for."""
PAGES: Mapping[str, Callable[[ViewedRun, PageRequest], Json]] = {"prompts": prompts_page}
"""Tables of which some rows are asked for at a time."""


def documents_of(run: ViewedRun, round: int, prompts: Sequence[str]) -> dict[str, dict[str, Json]]:
    """By prompt, the documents of its group and of what belongs to it, by their keys in the file."""
    found: dict[str, dict[str, Json]] = {prompt: {} for prompt in prompts}
    for name, make in OF_GROUPS.items():
        for prompt, *others, document in make(run, round, prompts):
            key = "/".join(map(str, (run.id, name, round, prompt, *others)))
            found[prompt][key] = document
    return found
