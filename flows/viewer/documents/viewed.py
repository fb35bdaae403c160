"""A run as documents are made of it: asked by SQL, read-only, with what had to be left out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.plan.conditions import settings_of
from flows.plan.run import DIGESTS
from flows.report.card.published import published_settings
from flows.report.sql.knowledge import KNOWLEDGE, find_tokenizer, settings_by_round, token_texts
from flows.report.watch.look import Look, Looker
from flows.viewer.documents.made_once import MadeOnce
from flows.viewer.documents.round_answers import RoundAnswers, RoundQuery
from mopd.errors import InputError
from mopd.settings import Settings
from storage.errors import StorageError
from storage.lookup import collected_problems
from storage.manifests import Manifest
from storage.runs import RunFolder
from storage.sql.catalog import NONE_GIVEN, Catalog
from storage.sql.tables import find_current
from storage.stores.base import Holder

Json = dict[str, Any]
_OF_THE_MODEL = ("vocabulary", "tokenizer")
SOLVED = 0.5
"""A pass rate from which on a prompt counts as solved, as the named query `flipped_prompts` has it; a prompt whose pass
rate crosses it between two rounds flipped."""


@dataclass
class ViewedRun:
    """One run of a page, at one moment; may be asked from several threads at once."""

    folder: RunFolder
    id: str
    """In addresses: unlike any other run's of the page."""
    problems: list[str] = field(default_factory=list)
    """A line for whatever an answer had to leave out, with what mends it."""
    in_file: bool = False
    """Whether it is shown in a file, which may be sent on: then nothing names a place of this machine."""
    memory_gigabytes: float | None = None
    """That what it is asked may take together; None: as DuckDB has it."""
    holder: Holder | None = None
    """Who holds it, where somebody has watched that; None: one look has to do."""
    answers: RoundAnswers = field(default_factory=RoundAnswers, repr=False)
    """About its rounds, which later moments may know already."""
    _shards: dict[tuple[str, int], list[Manifest]] = field(default_factory=dict, repr=False)
    _made: dict[str, pa.Table] = field(default_factory=dict, repr=False)
    _making: dict[str, threading.Lock] = field(default_factory=dict, repr=False)

    def ask(self, sql: str, *, given: Mapping[str, pa.Table] = NONE_GIVEN, **parameters: Any) -> list[Json]:
        """The rows of a query over the run's tables and views, by the names of their columns.

        `given`: tables that it reads beside them, by their names in it.
        """
        result = self.catalog.ask(sql, parameters, given=given)
        self.leave_out(*result.excluded)
        return [dict(zip(result.columns, row)) for row in result.rows]

    def ask_table(self, sql: str, *, given: Mapping[str, pa.Table] = NONE_GIVEN, **parameters: Any) -> pa.Table:
        """The same as Arrow has it, for other queries to read."""
        result = self.catalog.ask(sql, parameters, given=given, as_table=True)
        self.leave_out(*result.excluded)
        assert result.table is not None
        return result.table

    def ask_rounds(self, query: RoundQuery, rounds: Iterable[int] | None = None) -> pa.Table:
        """The answers about some rounds that have rollouts, or about all, in their order: each is asked for once as
        long as the round's shards stay as they are."""
        return self.answers.ask(query, rounds, self.catalog, self.ask_table)

    def make_once(self, make: Callable[[ViewedRun], pa.Table]) -> pa.Table:
        """What a function makes of the run: once, for this moment."""
        with self._making.setdefault(make.__name__, threading.Lock()):
            if make.__name__ not in self._made:
                self._made[make.__name__] = make(self)
            return self._made[make.__name__]

    def later(self, folder: RunFolder, holder: Holder | None = None) -> ViewedRun:
        """The run as it is now. It has the tokenizer that it had, if any (a model may be loaded meanwhile), and what is
        known of its rounds."""
        run = ViewedRun(folder, self.id, memory_gigabytes=self.memory_gigabytes, holder=holder, answers=self.answers)
        run.__dict__ |= {name: self.__dict__[name] for name in _OF_THE_MODEL if self.__dict__.get(name)}
        return run

    @property
    def place(self) -> str:
        """What commands call it by."""
        return self.id if self.in_file else self.folder.address

    def without_places(self, text: str) -> str:
        """A text; in a file with the run, and those that it was forked from, by their names."""
        for address, name in self._names.items() if self.in_file else ():
            text = text.replace(address, name)
        return text

    @MadeOnce
    def _names(self) -> dict[str, str]:
        """By address, longer ones first; what else lies beside the run is called by its own name there."""
        lineage, around = self.folder.lineage, self.folder.address.removesuffix(self.folder.name)
        forked_from = [lineage, *lineage["homes"].values()] if lineage else []
        names = {self.folder.address: self.id, **{run["path"]: run["run_id"] for run in forked_from}}
        return {**dict(sorted(names.items(), key=lambda item: -len(item[0]))), around: ""}

    @property
    def is_planned(self) -> bool:
        """Whether `mopd run` made it, so that it has a state and settings."""
        return self.folder.document.keys() >= set(DIGESTS)

    @MadeOnce
    def last_settings(self) -> Settings | None:
        """Those that it follows now; None where they can't be read."""
        try:
            return settings_of(self.folder)
        except StorageError as error:
            self.leave_out(str(error))
            return None

    @MadeOnce
    def shown_settings(self) -> Settings | None:
        """The same as a reader may see them."""
        settings = self.last_settings
        return published_settings(self.folder, settings) if settings and self.in_file else settings

    @MadeOnce
    def look(self) -> Look | None:
        """What `mopd status` says of it now, and who holds it; None where that can't be read, which is a problem."""
        if not self.is_planned:
            return None
        with collected_problems() as problems:
            try:
                look = Looker(self.folder).look()
            except (InputError, StorageError) as error:
                self.leave_out(*problems, str(error))
                return None
        self.leave_out(*problems)
        return look if self.holder is None else replace(look, holder=self.holder)

    @property
    def status(self) -> Json | None:
        """What `mopd status --json` prints, where it can be read."""
        return self.look.status if self.look else None

    @MadeOnce
    def catalog(self) -> Catalog:
        """The run's tables as of one moment: what comes later is in those of another ViewedRun."""
        return Catalog([self.folder], KNOWLEDGE, self.memory_gigabytes)

    @MadeOnce
    def vocabulary(self) -> list[str]:
        """The text of each token id; empty where the model's tokenizer isn't at hand."""
        return token_texts(self.folder) if self.tokenizer is not None else []

    @MadeOnce
    def tokenizer(self) -> Any | None:
        """That of the run's model, of the library tokenizers; None where it isn't at hand."""
        try:
            return find_tokenizer(self.folder)
        except StorageError as error:  # of settings that can't be read
            self.leave_out(str(error))
            return None

    def settings(self, round: int) -> Settings | None:
        """The settings that a round follows; the run's own for one that nobody planned. None where they can't be read,
        which is a problem."""
        followed = (settings for first, last, settings in self._spans if first <= round <= last)
        return next(followed, None) or self.last_settings

    @MadeOnce
    def _spans(self) -> list[tuple[int, int, Settings]]:
        try:
            return [
                (first, last, settings_of(self.folder, tree)) for first, last, tree in settings_by_round(self.folder)
            ]
        except StorageError as error:
            self.leave_out(str(error))
            return []

    def shards(self, table: str, round: int) -> list[Manifest]:
        """The shards of a table's round that can be read, for rows that are wanted as arrays."""
        if (table, round) not in self._shards:
            self._shards[table, round], problems = find_current(self.folder, table, round)
            self.leave_out(*problems)
        return self._shards[table, round]

    def leave_out(self, *lines: str) -> None:
        """Tell of what can't be read, each once, whoever comes upon it."""
        self.problems += [line for line in dict.fromkeys(lines) if line not in self.problems]

    @property
    def shown_problems(self) -> list[str]:
        """The problems as a reader may see them."""
        return list(map(self.without_places, self.problems))


def viewed_runs(
    folders: Sequence[RunFolder], *, in_file: bool = False, memory_gigabytes: float | None = None
) -> list[ViewedRun]:
    """The runs under names that tell them apart."""
    from storage.sql.database import told_apart

    names = [told.run_id for told in told_apart(folders)]
    shown = _without_common_folders(names) if in_file else names
    return [
        ViewedRun(folder, name, in_file=in_file, memory_gigabytes=memory_gigabytes)
        for folder, name in zip(folders, shown)
    ]


def _without_common_folders(names: Sequence[str]) -> list[str]:
    """Of those that are paths what they don't have in common: `a/run` and `b/run` of `/home/me/a/run` and `…/b/run`."""
    paths = [name for name in names if Path(name).is_absolute()]
    common = os.path.commonpath(map(os.path.dirname, paths)) if paths else ""
    return [os.path.relpath(name, common) if name in paths else name for name in names]
