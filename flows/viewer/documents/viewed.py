"""A run as documents are made of it: asked by SQL, read-only, with what had to be left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flows.report.sql.knowledge import KNOWLEDGE, token_texts
from storage.runs import RunFolder
from storage.sql.catalog import Catalog

Json = dict[str, Any]


@dataclass
class ViewedRun:
    """One run of a page, at one moment; may be asked from several threads at once."""

    folder: RunFolder
    id: str
    """In addresses: unlike any other run's of the page."""
    problems: list[str] = field(default_factory=list)
    """A line for each damaged shard that an answer had to leave out."""

    def ask(self, sql: str, **parameters: Any) -> list[Json]:
        """The rows of a query over the run's tables and views, by the names of their columns."""
        result = self.catalog.ask(sql, parameters)
        self.problems += [line for line in result.excluded if line not in self.problems]
        return [dict(zip(result.columns, row)) for row in result.rows]

    @cached_property
    def catalog(self) -> Catalog:
        """The run's tables as of one moment: what comes later is in those of another ViewedRun."""
        return Catalog([self.folder], KNOWLEDGE)

    @cached_property
    def vocabulary(self) -> list[str]:
        """The text of each token id; empty where the model's tokenizer isn't at hand."""
        return token_texts(self.folder)


def viewed_runs(folders: list[RunFolder]) -> list[ViewedRun]:
    """The runs under names that tell them apart."""
    from storage.sql.database import told_apart

    return [ViewedRun(folder, told.run_id) for folder, told in zip(folders, told_apart(folders))]
