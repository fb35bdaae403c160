"""What came of a probe: how much the student gains under each context, and which one to train with."""

from __future__ import annotations

import json
from dataclasses import dataclass

from flows.execute.work import Rows
from flows.folder.policies import keeps_trainer_state
from flows.report.figure import Figure, Mark, Panel, Series
from flows.report.report import Report
from flows.report.table import Column, Row, Table, estimate_in
from flows.runtime.shell import shell_command
from mopd.measures.estimate import Estimate, estimate_mean
from mopd.measures.probe import best_context, why_best
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


def measure_signals(signals: Rows, *, num_samples: int, seed: int) -> dict[str, Estimate]:
    """METRICS of rows of `signals`, over prompts with both outcomes that have them."""
    mixed = [row for row in signals if row["population"] == "all" and 0 < (row["success_share"] or 0) < 1]
    return {name: estimate_mean([row[name] for row in mixed], num_samples=num_samples, seed=seed) for name in METRICS}


@dataclass(frozen=True)
class ProbeResults:
    """All contexts of a probe of one round."""

    folder: RunFolder
    round: int
    rows: list[Row]
    """One for each context, its numbers as they stand in the CSV; `full_gap` and `full_share`: the gap over rollouts
    whose context had all sections, and the share of these."""
    choices: dict[str, ContextChoice]
    conditions: dict[str, str]
    """What the rows of each context have in the column `condition`."""

    @property
    def best(self) -> str:
        """The name of the context to train with."""
        gaps = {str(row["context"]): estimate_in(row, "gap") for row in self.rows}
        return best_context(gaps, {str(row["context"]): estimate_in(row, "success_auc").value for row in self.rows})

    def recommendation(self) -> str:
        """What to train with, why, and how."""
        best = self.best
        (gap,) = (estimate_in(row, "gap") for row in self.rows if row["context"] == best)
        lines = [f"recommended: {best}, {why_best(gap)}"]
        if (gap.value or 0.0) > 0 and len(self.rows) > 1:
            lines[0] += f" (the largest of {len(self.rows)} gaps is likely too large)"
        if gap.low is None or gap.low <= 0:
            lines.append(
                "no context is sure to help: train.objective=grpo needs none, and "
                "train.objective.policy_gradient_weight blends it in"
            )
        round = self.round if keeps_trainer_state(self.folder, self.round) else 0
        overrides = [_shortened(override) for override in self.choices[best].overrides]
        fork = shell_command("fork", self.folder.address, round=round, set=overrides)
        lines.append(f"to train with it: {fork} NEW && mopd run NEW")
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
        numbers=Table.of(
            [{"context": None, "recommended": row["context"] == results.best, **row} for row in results.rows]
        ),
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
    return Table(columns, results.rows)


def _figure(results: ProbeResults) -> Figure:
    """Gap and success AUC, one line a context in the order of the table."""
    names = [str(row["context"]) for row in results.rows]
    ticks = {place: name + (" *" if name == results.best else "") for place, name in enumerate(names)}

    def series(key: str, label: str, color: int) -> Series:
        estimates = [(place, estimate_in(row, key)) for place, row in enumerate(results.rows)]
        return Series(label, estimates, color)

    all_sections = series("full_gap", "rollouts whose context had all sections", 1)
    gaps = Panel(
        [series("gap", "all rollouts", 0), all_sections],
        ticks,
        values_label="self-teacher minus student, points",
        marks=[Mark(0.0, "no gap")],
        scale=100,
        form="+z.1f",
    )
    aucs = Panel(
        [series("success_auc", "all rollouts", 0)],
        ticks,
        values_label="success AUC of the teacher's scores (0.5: chance)",
        marks=[Mark(0.5, "chance", dash=(4, 3))],
        form="z.3f",
    )
    return Figure(
        alt="gap and success AUC by context",
        title=f"{results.folder.run_id}, round {results.round}; bars: 95 % over prompts; *: recommended",
        panels=[[gaps, aucs]],
        size=(10.0, 1.8 + 0.34 * len(names)),
        horizontal=True,
    )


def _shortened(override: str) -> str:
    """A setting as one writes it: `condition.variant=positive` where a name says it all."""
    key, _, text = override.partition("=")
    value = json.loads(text)
    if isinstance(value, dict) and value.keys() == {"kind"}:
        value = value["kind"]
    return f"{key}={value}" if isinstance(value, str) else override
