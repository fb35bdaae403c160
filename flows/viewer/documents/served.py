"""What a server makes when the page asks for it: a line a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.viewer.documents.group import group_document
from flows.viewer.documents.overview import overview
from flows.viewer.documents.paging import PageRequest
from flows.viewer.documents.pairs import pairs
from flows.viewer.documents.prompts import prompt_filters, prompt_rounds, prompts_page
from flows.viewer.documents.rollouts.rollout import rollout_document
from flows.viewer.documents.rollouts.table import neighbours, rollouts_page, rounds
from flows.viewer.documents.rollouts.vocabulary import vocabulary
from flows.viewer.documents.row import run_row
from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.errors import InputError


@dataclass(frozen=True)
class Served:
    """A document of a run."""

    make: Callable[..., Json | None]
    """Of the run and the parameters, by their names; None where there is none."""
    parameters: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    """How each is read."""
    is_table: bool = False
    """Whether some rows of a table are asked for, or of its order: it is made of a PageRequest too."""
    is_kept: bool = False
    """Whether it takes long of a big run: the last one is shown while a newer one is made. It has no parameters."""

    def make_for(self, run: ViewedRun, given: Mapping[str, str]) -> Json | None:
        """The document, by parameters as an address has them. Raises InputError for one that is missing or wrong."""
        try:
            values = {name: read(given[name]) for name, read in self.parameters.items()}
        except (KeyError, ValueError) as error:
            wanted = ", ".join(self.parameters)
            raise InputError(f"what is asked of the run is not understood: {error}; it takes {wanted}") from error
        return self.make(run, PageRequest.of(given), **values) if self.is_table else self.make(run, **values)


SERVED: Mapping[str, Served] = {
    "overview": Served(overview, is_kept=True),
    "row": Served(run_row, is_kept=True),
    "prompt_filters": Served(prompt_filters, is_kept=True),
    "prompts": Served(prompts_page, is_table=True),
    "prompt_rounds": Served(prompt_rounds, {"prompt": str}),
    "group": Served(group_document, {"round": int, "prompt": str}),
    "rollouts": Served(rollouts_page, {"round": int}, is_table=True),
    "neighbours": Served(neighbours, {"round": int, "prompt": str, "sample": int}, is_table=True),
    "rollout": Served(rollout_document, {"round": int, "prompt": str, "sample": int}),
    "rounds": Served(rounds),
    "vocabulary": Served(vocabulary),
}
"""Of one run."""
OF_SEVERAL: Mapping[str, Callable[[Sequence[ViewedRun]], Json | None]] = {"pairs": pairs}
"""Of several runs together."""
