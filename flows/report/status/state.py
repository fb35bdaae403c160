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
from flows.plan.selection import round_selection, selection_line
from flows.plan.shard import EvaluationPlan, Shard
from flows.report.artifacts import find_manifests, total
from flows.report.last_errors import errors_text, last_errors
from flows.report.redone import redone_text
from flows.report.status.guards import guards_status, guards_text, stopped_text
from flows.report.status.index import StatusIndex
from flows.report.status.signals import choice_status, mean, signal_row, signals_status
from flows.report.table import Column, Row, Table
from flows.report.text import Cell, number, text_table
from flows.runtime.console import clock, count_makers
from mopd.evaluate import summarize_evaluation
from mopd.measures.comparison import METRICS
from mopd.measures.estimate import Estimate
from storage.index import Texts
from storage.manifests import looking_once
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
BEST = {True: "*", False: None}
TIMED_STAGES = tuple(name for name in STAGE_NAMES.values() if name != "measure")


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


def status_text(status: dict[str, Any]) -> str:
    """The state for people: stages first, then results."""
    state = "finished" if status["finished"] else "not finished"
    if stopped := stopped_text(status["guards"]):
        state += f", {stopped}"
    head = f"{status['run']}: {state}; {status['model']}, {status['variant']} contexts"
    if lineage := status["lineage"]:
        head += f"\nforked from {lineage['path']} at round {lineage['round']} with {', '.join(lineage['set'])}"
    head += "".join(f"\n{redone_text(entry)}" for entry in status["redone"])
    parts = [head, _stages_text(status), rounds_text(status), errors_text(status["errors"])]
    return "\n\n".join(part for part in parts if part)


def _lineage(folder: RunFolder) -> dict[str, Any] | None:
    """Where a fork comes from; None for a run of its own."""
    lineage = folder.lineage
    return {name: lineage[name] for name in ("path", "run_id", "round", "set")} if lineage else None


def rounds_text(status: dict[str, Any]) -> str:
    """The table by round, and held-out results under it."""
    parts = [text_table([_round_row(entry) for entry in status["rounds"]])]
    short = [entry for entry in status["rounds"] if entry["selection"] is not None and entry["selection"]["short"]]
    parts += [f"round {entry['round']}: {selection_line(entry['selection'])}" for entry in short]
    chosen = [(entry["round"], entry["choice"]) for entry in status["rounds"] if entry["choice"] is not None]
    parts += [f"round {round}: {choice['candidate']} contexts, {choice['why']}" for round, choice in chosen]
    signals = [signal_row(entry["round"], entry["signals"]) for entry in status["rounds"] if entry["signals"]]
    if signals:
        parts.append(f"teacher against verifier, means over prompts with both outcomes\n{text_table(signals)}")
    evaluated = [entry for entry in status["evaluations"] if entry["mean_at_k"] is not None]
    parts += [_evaluation_table(evaluated).terminal()] if evaluated else []
    parts += [guards] if (guards := guards_text(status["guards"])) else []
    return "\n\n".join(parts)


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
    began = [
        datetime.fromisoformat(manifest.created) - timedelta(seconds=manifest.info.get("seconds") or 0)
        for manifest in manifests
    ]
    ended = max((manifest.created for manifest in manifests), default=None)
    return {"began": min(began).isoformat() if began else None, "ended": ended}


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


def _stages_text(status: dict[str, Any]) -> str:
    rows: list[dict[str, Cell]] = []
    for entry in status["rounds"]:
        rows += [_stage_row(f"round {entry['round']}", name, stage) for name, stage in entry["stages"].items()]
    rows += [_stage_row(f"policy {entry['policy']}", "evaluate", entry) for entry in status["evaluations"]]
    if all((row["replicas"] or 1) == 1 for row in rows):  # nothing to tell of one process after another
        rows = [{name: cell for name, cell in row.items() if name not in ("replicas", "hosts")} for row in rows]
    begun = [row for row in rows if row["seconds"] is not None]
    return text_table(begun or rows)


def _stage_row(where: str, name: str, stage: dict[str, Any]) -> dict[str, Cell]:
    return {
        "": where,
        "stage": name,
        "shards": f"{stage['shards_done']}/{stage['shards']}",
        "seconds": round(stage["seconds"], 2) if stage["shards_done"] else None,
        "tokens": stage["tokens"] or None,
        "tokens/s": round(stage["tokens_per_second"]) if stage["tokens_per_second"] else None,
        "replicas": stage["replicas"] or None,
        "hosts": stage["hosts"] or None,
    }


def _round_row(entry: dict[str, Any]) -> dict[str, Cell]:
    seconds = {name: stage["seconds"] for name, stage in entry["stages"].items() if stage["shards_done"]}
    selection = entry["selection"]
    return {
        "round": entry["round"],
        "pass rate": None if entry["pass_rate"] is None else f"{100 * entry['pass_rate']:.1f} %",
        "mixed groups": f"{entry['mixed_groups']}/{entry['groups']}" if entry["groups"] else None,
        **({"trained groups": f"{selection['useful']}/{selection['wanted']}"} if selection else {}),
        "loss": number(entry["loss"]),
        "distill loss": number(entry["distill_loss"]),
        "grad norm": number(entry["grad_norm"]),
        **{name: clock(seconds[name]) if name in seconds else None for name in TIMED_STAGES},
        **({"nulls": entry["null_verdicts"]} if entry["null_verdicts"] else {}),
    }


def _evaluation_table(entries: list[dict[str, Any]]) -> Table:
    """One row a policy; a fork may have other numbers of samples than what it took over."""
    columns = [Column("policy")]
    for k in dict.fromkeys(entry["k"] for entry in entries):
        columns += [Column(f"{name}@{k}", form=".1f", scale=100, unit=" %", optional=name == "maj") for name in METRICS]
    columns += [Column("num_prompts", "prompts"), Column("seconds", form=clock), Column("best", optional=True)]
    rows: list[Row] = [
        {**entry, **{f"{name}@{entry['k']}": _estimate(entry, name) for name in METRICS}, "best": BEST[entry["best"]]}
        for entry in entries
    ]
    title = "held-out, with 95 % intervals over prompts"
    return Table([*columns, Column("num_null", "nulls", optional=True)], rows, title)


def _estimate(entry: dict[str, Any], name: str) -> Estimate:
    return Estimate.of(entry[f"{name}_at_k"], entry[f"{name}_interval"], entry[f"num_{name}_prompts"])
