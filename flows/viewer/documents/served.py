"""What a server makes when the page asks for it: a line a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flows.report.text import span
from flows.viewer.documents.group import group_document
from flows.viewer.documents.overview import overview
from flows.viewer.documents.pairs import pairs
from flows.viewer.documents.prompts import prompt_filters, prompt_rounds, prompts_page
from flows.viewer.documents.request.paging import PageRequest
from flows.viewer.documents.request.parameters import (
    NotThere,
    Read,
    any_text,
    as_given,
    read_parameters,
    whole_number,
)
from flows.viewer.documents.rollouts.rollout import rollout_document
from flows.viewer.documents.rollouts.table import check_round, neighbours, rollouts_page, rounds
from flows.viewer.documents.rollouts.vocabulary import vocabulary
from flows.viewer.documents.row import run_row
from flows.viewer.documents.viewed import Json, ViewedRun


@dataclass(frozen=True)
class Served:
    """A document of a run."""

    make: Callable[..., Json | None]
    """Of the run and the parameters, by their names; None where there is none."""
    parameters: Mapping[str, Read] = field(default_factory=dict)
    """How each is read."""
    is_table: bool = False
    """Whether some rows of a table are asked for, or of its order: it is made of a PageRequest too."""
    is_kept: bool = False
    """Whether it takes long of a big run: the last one is shown while a newer one is made. It has no parameters."""

    def make_for(self, run: ViewedRun, given: Mapping[str, str]) -> Json:
        """The document, by parameters as an address has them.

        Raises InputError for one that is missing or wrong, NotThere for those of which the run has nothing.
        """
        values = read_parameters(self.parameters, given)
        request = (PageRequest.of(given),) if self.is_table else ()
        document = self.make(run, *request, **values)
        if document is None:
            raise _not_there(run, **values)
        return document


def _not_there(run: ViewedRun, round: int, prompt: str, sample: int | None = None) -> NotThere:
    """Why there is no document of a group, or of a rollout."""
    check_round(run, round)
    asked = "SELECT sample FROM rollouts WHERE round = $round AND prompt_id = $prompt ORDER BY sample"
    samples = [row["sample"] for row in run.ask(asked, round=round, prompt=prompt)]
    if not samples or sample is None:
        why = f"round {round} has no rollouts of it; give the id of one of its prompts"
        return NotThere(f"{as_given('prompt', prompt)}: {why}")
    return NotThere(f"{as_given('sample', sample)}: the group has samples {span(samples)}")


_OF_GROUP: Mapping[str, Read] = {"round": whole_number, "prompt": any_text}
_OF_ROLLOUT: Mapping[str, Read] = {**_OF_GROUP, "sample": whole_number}

SERVED: Mapping[str, Served] = {
    "overview": Served(overview, is_kept=True),
    "row": Served(run_row, is_kept=True),
    "prompt_filters": Served(prompt_filters, is_kept=True),
    "prompts": Served(prompts_page, is_table=True),
    "prompt_rounds": Served(prompt_rounds, {"prompt": any_text}),
    "group": Served(group_document, _OF_GROUP),
    "rollouts": Served(rollouts_page, {"round": whole_number}, is_table=True),
    "neighbours": Served(neighbours, _OF_ROLLOUT, is_table=True),
    "rollout": Served(rollout_document, _OF_ROLLOUT),
    "rounds": Served(rounds),
    "vocabulary": Served(vocabulary),
}
"""Of one run."""
OF_SEVERAL: Mapping[str, Callable[[Sequence[ViewedRun]], Json | None]] = {"pairs": pairs}
"""Of several runs together."""
