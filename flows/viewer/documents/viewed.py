"""A run as documents are made of it: asked by SQL, read-only, with what had to be left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flows.plan.run import DIGESTS
from flows.report.sql.knowledge import KNOWLEDGE, token_texts
from flows.report.watch.look import Look, Looker
from mopd.errors import InputError
from mopd.settings import Settings, parse_settings
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.sql.catalog import query_runs

Json = dict[str, Any]


@dataclass
class ViewedRun:
    """One run of a page."""

    folder: RunFolder
    id: str
    """In addresses: unlike any other run's of the page."""
    problems: list[str] = field(default_factory=list)
    """A line for each damaged shard that an answer had to leave out."""

    def ask(self, sql: str, **parameters: Any) -> list[Json]:
        """The rows of a query over the run's tables and views, by the names of their columns."""
        result = query_runs([self.folder], sql, parameters, KNOWLEDGE)
        self.problems += [line for line in result.excluded if line not in self.problems]
        return [dict(zip(result.columns, row)) for row in result.rows]

    @property
    def is_planned(self) -> bool:
        """Whether `mopd run` made it, so that it has a state and settings."""
        return self.folder.document.keys() >= set(DIGESTS)

    @cached_property
    def settings(self) -> Settings | None:
        """Those that it follows now; None where they can't be read."""
        try:
            return parse_settings(self.folder.document["settings"])
        except (InputError, KeyError):
            return None

    @cached_property
    def look(self) -> Look | None:
        """What `mopd status` says of it now, and who holds it; None where that can't be read, which is a problem."""
        if not self.is_planned:
            return None
        try:
            return Looker(self.folder).look()
        except (InputError, StorageError) as error:
            self.problems.append(str(error))
            return None

    @property
    def status(self) -> Json | None:
        """What `mopd status --json` prints, where it can be read."""
        return self.look.status if self.look else None

    @cached_property
    def vocabulary(self) -> list[str]:
        """The text of each token id; empty where the model's tokenizer isn't at hand."""
        return token_texts(self.folder)


def viewed_runs(folders: list[RunFolder]) -> list[ViewedRun]:
    """The runs under names that tell them apart."""
    from storage.sql.database import told_apart

    return [ViewedRun(folder, told.run_id) for folder, told in zip(folders, told_apart(folders))]
