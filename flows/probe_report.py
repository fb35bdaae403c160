"""What came of a probe: how much the student gains under each context, and which one to train with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from flows.fork import has_trainer_state
from flows.report.figure import Figure, Mark, Panel, Series
from flows.report.report import Report
from flows.report.table import Column, Row, Table
from flows.shard_rows import Rows
from mopd.measures.estimate import Estimate, estimate_mean
from mopd.measures.probe import Gain, best_context, why_best
from mopd.settings.context_choice import ContextChoice
from storage.runs import RunFolder

METRICS = {"success_auc": "success AUC", "pairwise_accuracy": "pairwise accuracy"}
METHOD = (
    "Student: share of right rollouts. Self-teacher: share of right replies of the same weights with the context in "
    "view: one for each rollout, under that rollout's own context and with its seed. Gap: self-teacher minus student, "
    "prompt by prompt. Intervals: 95 %, percentile bootstrap over prompts."
)
HOW_TO_READ = """\
- The gap is what there is for training to pass on: arXiv 2605.30070 reports that the gain of training grows with it.
  It is no promise: a context may be copied rather than understood, and the teacher has to see the difference as well.
- The success AUC and the pairwise accuracy say whether it does: whether it holds the right rollouts of a prompt
  likelier than the wrong ones. They are of prompts with both outcomes.
- The largest of many gaps is too large: some of it is luck of the draw. Compare intervals, not ranks.
- `none` has no gap: the prompt alone gives the rollouts again.
- Under `all sections`: the gap over those rollouts alone whose context had every section that it asks for. Where it is
  far from the gap over all, the context is rarely there: more rollouts a prompt, or easier prompts, would help it."""


@dataclass(frozen=True)
class ContextResult:
    """One context of a probe."""

    name: str
    gain: Gain
    """Over all rollouts; those without any section in their context are asked the prompt alone."""
    full_gain: Gain
    """Over rollouts whose context had all sections."""
    full_share: float | None
    """Share of such rollouts."""
    metrics: dict[str, Estimate]
    """By a name of METRICS, over prompts with both outcomes."""
    context_tokens: float | None
    """Mean length of the context, in tokens."""
    answer_tokens: float | None
    """Mean length of the replies, in tokens."""


def measure_signals(signals: Rows, *, num_samples: int, seed: int) -> dict[str, Estimate]:
    """METRICS of rows of `signals`, over prompts with both outcomes that have them."""
    mixed = [row for row in signals if row["population"] == "all" and 0 < (row["success_share"] or 0) < 1]
    return {name: estimate_mean([row[name] for row in mixed], num_samples=num_samples, seed=seed) for name in METRICS}


@dataclass(frozen=True)
class ProbeResults:
    """All contexts of a probe of one round."""

    folder: RunFolder
    round: int
    contexts: list[ContextResult]
    choices: dict[str, ContextChoice]

    @property
    def gains(self) -> dict[str, Gain]:
        """By context, over all rollouts."""
        return {one.name: one.gain for one in self.contexts}

    @property
    def best(self) -> str:
        """The name of the context to train with."""
        return best_context(self.gains, {one.name: one.metrics["success_auc"].value for one in self.contexts})

    def recommendation(self) -> str:
        """What to train with, why, and how."""
        gap = self.gains[self.best].gap
        lines = [f"recommended: {self.best}, {why_best(self.gains, self.best)}"]
        if (gap.value or 0.0) > 0 and len(self.contexts) > 1:
            lines[0] += f" (the largest of {len(self.contexts)} gaps is likely too large)"
        if gap.low is None or gap.low <= 0:
            lines.append(
                "no context is sure to help: train.objective=grpo needs none, and "
                "train.objective.policy_gradient_weight blends it in"
            )
        round = self.round if has_trainer_state(self.folder, self.round) else 0
        sets = " ".join(f"--set {_shell(one)}" for one in self.choices[self.best].overrides)
        lines.append(f"to train with it: mopd fork {self.folder.path} --round {round} {sets} NEW && mopd run NEW")
        if round != self.round:
            lines.append(
                f"from round 0 on: the trainer state of round {self.round} was removed (train.keep_trainer_states)"
            )
        return "\n".join(lines)


def probe_report(results: ProbeResults, *, command: str) -> Report:
    """What every context is worth, and what to train with."""
    table, recommendation = probe_table(results), results.recommendation()
    return Report(
        title="Which context does the student gain most from?",
        parts=[
            f"    {command}",
            METHOD,
            table,
            _figure(results),
            "\n".join(f"- {line}" for line in recommendation.splitlines()),
            "## How to read this",
            HOW_TO_READ,
        ],
        brief=[table, METHOD, recommendation],
        numbers=Table.of([_numbers(one, recommended=one.name == results.best) for one in results.contexts]),
        name="probe",
    )


def probe_table(results: ProbeResults) -> Table:
    """One row a context, in the order that was asked for."""
    columns = [
        Column("context"),
        Column("num_prompts", "prompts"),
        Column("student", "student, %", ".1f", 100),
        Column("self_teacher", "self-teacher, %", ".1f", 100),
        Column("gap", "gap, points", "+z.1f", 100),
        Column("full_gap", "gap, all sections", "+z.1f", 100),
        Column("full_share", "all sections", ".0f", 100, " %"),
        *(Column(metric, title, "z.3f") for metric, title in METRICS.items()),
        Column("context_tokens", "tokens", ",.0f"),
        Column("answer_tokens", "reply", ",.0f"),
        Column("num_null", "nulls", optional=True),
    ]
    return Table(columns, [_numbers(one, recommended=one.name == results.best) for one in results.contexts])


def _numbers(one: ContextResult, *, recommended: bool) -> Row:
    row: Row = {"context": one.name, "recommended": recommended, "num_prompts": one.gain.gap.num}
    row |= {"num_null": one.gain.num_null, "student": one.gain.student, "self_teacher": one.gain.self_teacher}
    row |= {"gap": one.gain.gap, "full_gap": one.full_gain.gap, **one.metrics, "full_share": one.full_share}
    return {**row, "context_tokens": one.context_tokens, "answer_tokens": one.answer_tokens}


def _figure(results: ProbeResults) -> Figure:
    """Gap and success AUC, one line a context in the order of the table."""
    contexts = results.contexts
    ticks = {place: one.name + (" *" if one.name == results.best else "") for place, one in enumerate(contexts)}

    def series(label: str, estimates: Sequence[Estimate], color: str = "C0") -> Series:
        return Series(label, list(enumerate(estimates)), {"color": color})

    gaps = Panel(
        [
            series("all rollouts", [one.gain.gap for one in contexts]),
            series("rollouts whose context had all sections", [one.full_gain.gap for one in contexts], "C1"),
        ],
        ticks,
        values_label="self-teacher minus student, points",
        marks=[Mark(0.0, {"color": "0.5", "linewidth": 1})],
        scale=100,
    )
    aucs = Panel(
        [series("all rollouts", [one.metrics["success_auc"] for one in contexts])],
        ticks,
        values_label="success AUC of the teacher's scores (0.5: chance)",
        marks=[Mark(0.5, {"color": "0.5", "linewidth": 1, "linestyle": "--"})],
    )
    return Figure(
        alt="gap and success AUC by context",
        title=f"{results.folder.run_id}, round {results.round}; bars: 95 % over prompts; *: recommended",
        panels=[[gaps, aucs]],
        size=(10.0, 1.8 + 0.34 * len(contexts)),
        horizontal=True,
    )


def _shell(override: str) -> str:
    """A setting as a shell takes it: `condition.variant=positive` where a name says it all, else quoted."""
    key, _, text = override.partition("=")
    value = json.loads(text)
    if isinstance(value, dict) and value.keys() == {"kind"}:
        value = value["kind"]
    return f"{key}={value}" if isinstance(value, str) else f"'{override}'"
