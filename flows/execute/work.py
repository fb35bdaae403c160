"""What a job is given: one shard to be made, with the settings that it is made by, and its way to its inputs."""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from flows.plan.provenance import provenance
from flows.plan.shard import Shard
from flows.plan.stage import STAGES
from flows.runtime.messages import Report
from flows.runtime.places.base import REPLICA
from mopd.settings import Settings
from mopd.timeline import span
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.shards import Manifest, commit_shard, read_rows

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """A shard that a worker makes."""

    folder: RunFolder
    shard: Shard
    report: Report
    """Takes a dict such as `{"done": 3, "of": 8, "what": "rollouts"}`, with a `text` where that says more."""

    @property
    def settings(self) -> Settings:
        """Those that the shard is made by: in a fork, and under other contexts, not always those of run.json."""
        return self.shard.settings

    def read(self, table: str, columns: Sequence[str] | None = None) -> Rows:
        """The rows of the input shard of `table`. Raises StorageError for one that is not there, or is damaged."""
        return read_shard(self.folder, self.shard.input(table), columns)

    def progress(self, total: int, what: str) -> Callable[[int], None]:
        """Reports how many of `total` are done."""
        return lambda done: self.report({"done": done, "of": total, "what": what})


def make_shard(loaded: Any, report: Report, job: str, folder: RunFolder, shard: Shard) -> Manifest | None:
    """A shard of a stage: its job, then the commit; some jobs publish what they make themselves.

    None on those of several ranks that leave it to another.
    """
    loaded, began = _of_shard(loaded, shard), time.monotonic()
    with span(STAGES[shard.table].name, "job"):
        result = load_function(job)(loaded, Work(folder, shard, report))
        return result if isinstance(result, Manifest | None) else commit(folder, shard, result, began)


class Sampled(NamedTuple):
    """The first half of a stage that samples and judges."""

    rows: Rows
    seconds: float
    maker: dict[str, str]


def sample_shard(loaded: Any, report: Report, job: str, folder: RunFolder, shard: Shard) -> Sampled:
    """Samples, not judged yet."""
    loaded, began = _of_shard(loaded, shard), time.monotonic()
    with span(STAGES[shard.table].name, "job"):
        rows = load_function(job)(loaded, Work(folder, shard, report))
    return Sampled(rows, time.monotonic() - began, maker())


def judge_shard(_: None, report: Report, judge: str, folder: RunFolder, shard: Shard, sampled: Sampled) -> Manifest:
    """The second half: samples are judged and published."""
    began = time.monotonic() - sampled.seconds
    with span("judge", "job"):
        rows = load_function(judge)(sampled.rows, Work(folder, shard, report))
        return commit(folder, shard, rows, began, sampled.maker)


class Loaded:
    """What a replica has on its device for the jobs of a stage: one policy as an engine, or as a scorer, then the next.

    What was loaded may have `renew(folder, settings, version)`: whether it took that policy in place of its own.
    """

    def __init__(self, load: str, folder: RunFolder) -> None:
        self._load, self._folder = load_function(load), folder
        self._loaded: Any = None
        self._version: int | None = None

    def of_policy(self, settings: Settings, version: int) -> Any:
        """With policy `version`, which is loaded where it is not there."""
        if version != self._version:
            self._version = None  # until it is there
            with span("load a policy", "load"):
                self._take(settings, version)
            self._version = version
        return self._loaded

    def _take(self, settings: Settings, version: int) -> None:
        renew = getattr(self._loaded, "renew", None)
        if renew is None or not renew(self._folder, settings, version):
            self._free()
            self._loaded = self._load(self._folder, settings, version)

    def close(self) -> None:
        """The process ends, and what is loaded with it: to take vLLM apart first takes one or two seconds.

        Where it has processes of its own it is told: they end in order.
        """
        if multiprocessing.active_children():
            self._free()

    def _free(self) -> None:
        """Free the device."""
        loaded, self._loaded = self._loaded, None  # gone before the next one takes its memory
        if hasattr(loaded, "close"):
            loaded.close()


def load_device(load: str, folder: RunFolder) -> Loaded:
    """For what the jobs of a stage need on the device: a policy as an engine, or as a scorer, which the first loads."""
    return Loaded(load, folder)


def _of_shard(loaded: Any, shard: Shard) -> Any:
    """What is loaded, with the shard's policy. What that takes is none of the shard's time."""
    return loaded.of_policy(shard.settings, shard.round) if isinstance(loaded, Loaded) else loaded


def load_function(name: str) -> Callable[..., Any]:
    """The function `module:function` of a stage."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), attribute)
    return function


def read_shard(folder: RunFolder, shard: Shard, columns: Sequence[str] | None = None) -> Rows:
    """A shard's rows. Raises StorageError for one that is not there, or is damaged."""
    with span(f"read {shard.table}", "files"):
        return read_rows(folder, manifest_of(folder, shard), list(columns) if columns else None)


def select_groups(rows: Rows, prompt_ids: Collection[str]) -> Rows:
    """The rows of some prompts."""
    return [row for row in rows if row["prompt_id"] in prompt_ids]


def manifest_of(folder: RunFolder, shard: Shard) -> Manifest:
    """The manifest of a shard that was made. Raises StorageError where it has gone."""
    manifest = shard.find(folder)
    if manifest is None:
        raise StorageError(f"{folder.address}: shard {shard.shard} of {shard.table}, round {shard.round}, has gone")
    return manifest


def commit(
    folder: RunFolder,
    shard: Shard,
    rows: Rows,
    began: float,
    made_by: dict[str, str] | None = None,
    *,
    info: dict[str, Any] | None = None,
) -> Manifest:
    """Publish a shard's rows, made since `began` (monotonic seconds) by this process, or by another `maker`.

    `info`: what its manifest says beside that.
    """
    overrides = {"set": list(shard.overrides)} if shard.overrides else {}
    seconds = time.monotonic() - began
    with span(f"commit {shard.table}", "files"):
        return commit_shard(
            folder,
            shard.table,
            round=shard.round,
            shard=shard.shard,
            key=shard.key,
            name=shard.name,
            rows=rows,
            parents=shard.parents(folder),
            info={
                **STAGES[shard.table].count(rows),
                **overrides,
                **provenance(shard),
                "seconds": seconds,
                **(made_by or maker()),
                **(info or {}),
            },
        )


def maker() -> dict[str, str]:
    """Who makes a shard, as its manifest says it: the host and, where this process is one of a pool's, the replica."""
    replica = os.environ.get(REPLICA)
    return {"host": platform.node(), **({"replica": replica} if replica else {})}
