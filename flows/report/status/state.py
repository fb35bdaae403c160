"""Where a run stands: stages, rates and results by round, from manifests and the two small tables."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from flows.folder.replay.rerun import lines_of
from flows.plan.run import DIGESTS, RunPlan
from flows.plan.selection import round_selection
from flows.plan.shard import EvaluationPlan, Shard
from flows.report.artifacts import find_manifests, total
from flows.report.last_errors import last_errors
from flows.report.status.guards import guards_status
from flows.report.status.index import StatusIndex
from flows.report.status.signals import choice_status, mean, signals_status
from flows.runtime.console import count_makers
from mopd.evaluate import summarize_evaluation
from storage.index import Texts
from storage.lookup import looking_once
from storage.runs import RUN_FILE, RunFolder
from storage.shards import Manifest, read_rows

JUDGED = ["prompt_id", "sample", "success", "prediction", "sandbox"]
STAGE_NAMES = {
    "rollouts": "generate",
    "verdicts": "verify",
    "contexts": "condition",
    "scores": "score",
    "signals": "measure",
    "policy": "train",
}
"""Parts of a round, by what commands call their stages."""


def run_status(folder: RunFolder) -> dict[str, Any]:
    """The state of a run as plain JSON: what `mopd status --json` prints."""
    with _without_collector():
        return StatusReader(folder).read()


@contextmanager
def _without_collector() -> Iterator[None]:
    """Of a big run a million objects are made, and none is garbage: to look for some takes a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class StatusReader:
    """The state of a run, asked for again and again: what is finished is read once, the rest where it changes."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._begin()

    def _begin(self) -> None:
        self._stamp = self._folder.store.stat(RUN_FILE)
        self._plan = RunPlan.of(self._folder)
        self._rounds: dict[int, dict[str, Any]] = {}
        self._evaluations: dict[int, dict[str, Any]] = {}
        self._texts: Texts = {}
        self._index = StatusIndex(self._folder, self._plan)
        with looking_once():
            self._shown = self._plan.shown_evaluations(self._folder)

    def read(self) -> dict[str, Any]:
        """As `run_status`, of now. A run that got other settings, or was redone, is read anew."""
        if self._folder.store.stat(RUN_FILE) != self._stamp:
            self._folder = RunFolder.open(self._folder.store)
            self._begin()
        with looking_once(self._texts):
            return self._read()

    def _read(self) -> dict[str, Any]:
        folder, plan = self._folder, self._plan
        self._index.look_again()
        for round in range(plan.settings.rounds):
            if self._may_have_changed(self._rounds.get(round), round):
                self._rounds[round] = self._index.find(round) or _round_status(folder, plan, round)
        self._index.keep(self._rounds)
        for version, part in self._shown.items():
            if self._may_have_changed(self._evaluations.get(version), version):
                self._evaluations[version] = _evaluation_status(folder, plan, version, part)
        asked = [entry for version, entry in self._evaluations.items() if version in plan.evaluations]
        return {
            "run": folder.address,
            "config": folder.document.get("config"),
            "lineage": _lineage(folder),
            "redone": lines_of(folder),
            "model": plan.settings.model.path,
            "variant": plan.settings.condition.variant.kind,
            "finished": all(entry["finished"] for entry in (*self._rounds.values(), *asked)),
            "rounds": list(self._rounds.values()),
            "evaluations": with_best(list(self._evaluations.values())),
            "guards": guards_status(folder, plan, list(self._rounds.values())),
            "errors": last_errors(folder),
        }

    def _may_have_changed(self, entry: dict[str, Any] | None, version: int) -> bool:
        """Whether what is made with a policy may be other than it was: not when all is there, nor before the policy."""
        if entry is None:
            return True
        has_policy = version == 0 or self._rounds[version - 1]["finished"]
        return not entry["finished"] and (has_policy or entry["ended"] is not None)


def with_best(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is said of each policy that is evaluated, and whether it is the best of several."""
    best = best_evaluation(entries)
    several = sum(entry["mean_at_k"] is not None for entry in entries) > 1
    return [{**entry, "best": several and entry is best} for entry in entries]


def best_evaluation(entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """That of the policy with the highest held-out mean@k, the earliest of equal ones; None without any."""
    evaluated = [entry for entry in entries if entry["mean_at_k"] is not None]
    return max(evaluated, key=lambda entry: float(entry["mean_at_k"]), default=None)


def is_unfinished(folder: RunFolder) -> bool:
    """Whether something is left to do; False for a folder that `mopd run` didn't make, of which nobody knows."""
    return folder.document.keys() >= set(DIGESTS) and bool(RunPlan.of(folder).missing(folder))


def asked_evaluations(folder: RunFolder) -> list[int] | None:
    """The policies whose evaluations a run's settings ask for; None for a folder that `mopd run` didn't make."""
    return list(RunPlan.of(folder).evaluations) if folder.document.keys() >= set(DIGESTS) else None


def unasked_keys(folder: RunFolder) -> list[str]:
    """Keys of the shards of all other evaluations."""
    if not folder.document.keys() >= set(DIGESTS):
        return []
    return [shard.key for part in RunPlan.of(folder).unasked_evaluations() for shard in part.all()]


def _lineage(folder: RunFolder) -> dict[str, Any] | None:
    """Where a fork comes from; None for a run of its own."""
    lineage = folder.lineage
    return {name: lineage[name] for name in ("path", "run_id", "round", "set")} if lineage else None


def _round_status(folder: RunFolder, plan: RunPlan, round: int) -> dict[str, Any]:
    part = plan.rounds[round].needed(folder)
    shards = {name: _shards(part, name) for name in STAGE_NAMES}
    manifests = {name: find_manifests(folder, planned) for name, planned in shards.items()}
    verdicts = manifests["verdicts"]
    judged = sum(manifest.rows for manifest in verdicts) - int(total(verdicts, "nulls"))
    return {
        "round": round,
        "finished": not plan.missing_of(folder, part.all()),
        **_times([manifest for found in manifests.values() for manifest in found]),
        "between": seconds_between(find_manifests(folder, part.all())),
        "stages": {title: _stage_status(manifests[name], len(shards[name])) for name, title in STAGE_NAMES.items()},
        "pass_rate": total(verdicts, "successes") / judged if judged else None,
        "null_verdicts": int(total(verdicts, "nulls")),
        "groups": int(total(verdicts, "groups")),
        "mixed_groups": int(total(verdicts, "mixed")),
        "selection": round_selection(plan.rounds[round], folder),
        "signals": signals_status(folder, plan, round),
        "choice": choice_status(folder, plan, round),
        **_updates_status(folder, part.updates),
    }


def _times(manifests: list[Manifest]) -> dict[str, str | None]:
    """When work on some shards began, and when the last of them was there; None where none is."""
    began = min((_work_on(manifest)[0] for manifest in manifests), default=None)
    ended = max((manifest.created for manifest in manifests), default=None)
    return {"began": None if began is None else began.isoformat(), "ended": ended}


def seconds_between(manifests: list[Manifest]) -> float:
    """Seconds in which none of some shards was worked on, from the first of them to the last: processes that start,
    models that are loaded, whatever else stands between the stages, and the time until a lost run went on."""
    between, last = 0.0, None
    for began, ended in sorted(map(_work_on, manifests)):
        if last is not None and began > last:
            between += (began - last).total_seconds()
        last = ended if last is None else max(last, ended)
    return between


def _work_on(manifest: Manifest) -> tuple[datetime, datetime]:
    """When work on a shard began, and when it was there."""
    ended = datetime.fromisoformat(manifest.created)
    return ended - timedelta(seconds=manifest.info.get("seconds") or 0), ended


def _stage_status(manifests: list[Manifest], planned: int) -> dict[str, Any]:
    seconds, tokens = total(manifests, "seconds"), int(total(manifests, "tokens"))
    return {
        "shards_done": len(manifests),
        "shards": planned,
        "seconds": seconds,
        "tokens": tokens,
        "tokens_per_second": tokens / seconds if tokens and seconds else None,
        **dict(zip(("replicas", "hosts"), count_makers(manifest.info for manifest in manifests), strict=True)),
    }


def _updates_status(folder: RunFolder, updates: Shard) -> dict[str, Any]:
    """Means over the round's optimizer steps; a step without a signal has nulls, which stay out."""
    manifest = updates.find(folder)
    rows = read_rows(folder, manifest) if manifest else []
    names = ("loss", "distill_loss", "policy_loss", "grad_norm")
    return {"steps": len(rows), **{name: mean(rows, name) for name in names}}


def _evaluation_status(folder: RunFolder, plan: RunPlan, version: int, part: EvaluationPlan) -> dict[str, Any]:
    manifests = find_manifests(folder, part.evaluations)
    rows = judged_rows(folder, part) if len(manifests) == len(part.evaluations) else []
    settings = plan.at(version).settings
    summary = asdict(summarize_evaluation(rows, settings.evaluate, settings.seed))
    finished = {"finished": not plan.missing_of(folder, part.all()), **_times(manifests)}
    return {"policy": version, **finished, **_stage_status(manifests, len(part.evaluations)), **summary}


def judged_rows(folder: RunFolder, part: EvaluationPlan) -> list[dict[str, Any]]:
    """What `summarize_evaluation` reads of a policy's evaluation, whose shards are all there."""

    def rows(shards: list[Shard], columns: list[str]) -> list[dict[str, Any]]:
        return [row for manifest in find_manifests(folder, shards) for row in read_rows(folder, manifest, columns)]

    judge_of = part.evaluations[0].settings.verify.judge_of
    verifiers = {row["prompt_id"]: judge_of(row["verifier"]) for row in rows(part.prompts, ["prompt_id", "verifier"])}
    return [{**row, "verifier": verifiers.get(row["prompt_id"])} for row in rows(part.evaluations, JUDGED)]


def _shards(part: Any, name: str) -> list[Shard]:
    shards = getattr(part, name)
    return shards if isinstance(shards, list) else [shards]
