"""What came of a probe: how much the student gains under each context, and which one to train with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.command_text import shell_command
from flows.fork import has_trainer_state
from flows.shard_rows import Rows
from flows.text import Cell, markdown_table, text_table
from mopd.evaluate import Interval, bootstrap_interval
from mopd.measures.probe import Gain, best_context, why_best
from mopd.settings.context_choice import ContextChoice
from storage.files import write_files
from storage.runs import RunFolder

Row = dict[str, Cell]
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
    signals: Rows
    context_tokens: float | None
    """Mean length of the context, in tokens."""
    answer_tokens: float | None
    """Mean length of the replies, in tokens."""
    draws: dict[str, int]
    """`num_samples` and `seed` of the bootstrap."""

    def metric(self, name: str) -> tuple[float | None, Interval | None]:
        """A signal's mean over the prompts that have it, with its interval."""
        rows = [row[name] for row in self.signals if row["population"] == "all" and 0 < (row["success_share"] or 0) < 1]
        values = [value for value in rows if value is not None]
        num_samples, seed = self.draws["num_samples"], self.draws["seed"]
        mean = sum(values) / len(values) if values else None
        return mean, bootstrap_interval(values, num_samples=num_samples, seed=seed)


@dataclass(frozen=True)
class ProbeResults:
    """All contexts of a probe of one round."""

    folder: RunFolder
    round: int
    contexts: list[ContextResult]
    choices: dict[str, ContextChoice]

    @property
    def best(self) -> str:
        """The name of the context to train with."""
        gains = {one.name: one.gain for one in self.contexts}
        return best_context(gains, {one.name: one.metric("success_auc")[0] for one in self.contexts})

    def recommendation(self) -> str:
        """What to train with, why, and how."""
        gains = {one.name: one.gain for one in self.contexts}
        gain = gains[self.best]
        lines = [f"recommended: {self.best}, {why_best(gains, self.best)}"]
        if (gain.gap or 0.0) > 0 and len(gains) > 1:
            lines[0] += f" (the largest of {len(gains)} gaps is likely too large)"
        if gain.interval is None or gain.interval[0] <= 0:
            lines.append(
                "no context is sure to help: train.objective=grpo needs none, and "
                "train.objective.policy_gradient_weight blends it in"
            )
        round = self.round if has_trainer_state(self.folder, self.round) else 0
        overrides = [_shortened(override) for override in self.choices[self.best].overrides]
        fork = shell_command("fork", self.folder.path, round=round, set=overrides)
        lines.append(f"to train with it: {fork} NEW && mopd run NEW")
        if round != self.round:
            lines.append(
                f"from round 0 on: the trainer state of round {self.round} was removed (train.keep_trainer_states)"
            )
        return "\n".join(lines)


def terminal_text(results: ProbeResults) -> str:
    """The table at the end of the command, and what follows from it."""
    return f"{text_table(probe_rows(results))}\n\n{METHOD}\n\n{results.recommendation()}"


def probe_rows(results: ProbeResults) -> list[Row]:
    """One row a context, in the order that was asked for."""
    rows: list[Row] = []
    for one in results.contexts:
        row: Row = {"context": one.name, "prompts": one.gain.num_prompts}
        row |= {"student, %": _percent(one.gain.student), "self-teacher, %": _percent(one.gain.self_teacher)}
        row |= {"gap, points": _points(one.gain), "gap, all sections": _points(one.full_gain)}
        row |= {"all sections": None if one.full_share is None else f"{100 * one.full_share:.0f} %"}
        row |= {title: _share(*one.metric(name)) for name, title in METRICS.items()}
        row |= {"context": one.name, "tokens": _tokens(one.context_tokens), "reply": _tokens(one.answer_tokens)}
        rows.append(row | ({"nulls": one.gain.num_null} if any(c.gain.num_null for c in results.contexts) else {}))
    return rows


def probe_markdown(results: ProbeResults, *, command: str) -> str:
    """The whole of the results as a page, which shows the plot `plot.png` beside it."""
    recommended = "\n".join(f"- {line}" for line in results.recommendation().splitlines())
    parts = ["# Which context does the student gain most from?", f"    {command}", METHOD]
    parts += [markdown_table(probe_rows(results)), "![gap and success AUC by context](plot.png)", recommended]
    return "\n\n".join([*parts, "## How to read this", HOW_TO_READ]) + "\n"


def probe_csv(results: ProbeResults) -> str:
    """One line a context; shares in [0, 1], empty where undefined."""
    out = io.StringIO()
    rows = [_csv_row(one, chosen=one.name == results.best) for one in results.contexts]
    writer = csv.DictWriter(out, list(rows[0]), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_probe_files(results: ProbeResults, out: Path, *, command: str) -> str:
    """Write the page, the CSV table and the plot; returns the page."""
    from flows.probe_plot import write_probe_plot

    page = probe_markdown(results, command=command)
    write_files(out, {"probe.md": page.encode(), "probe.csv": probe_csv(results).encode()})
    write_probe_plot(results, out / "plot.png")
    return page


def _csv_row(one: ContextResult, *, chosen: bool) -> dict[str, object]:
    row: dict[str, object] = {"context": one.name, "recommended": chosen, "num_prompts": one.gain.num_prompts}
    row |= {"num_null": one.gain.num_null, "student": one.gain.student, "self_teacher": one.gain.self_teacher}
    for prefix, gain in (("gap", one.gain), ("full_gap", one.full_gain)):
        row |= _with_ends(prefix, gain.gap, gain.interval)
    for name in METRICS:
        row |= _with_ends(name, *one.metric(name))
    lengths = {"context_tokens": one.context_tokens, "answer_tokens": one.answer_tokens}
    return row | {"full_share": one.full_share, **lengths}


def _with_ends(name: str, value: float | None, interval: Interval | None) -> dict[str, object]:
    low, high = interval or (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _points(gain: Gain) -> str | None:
    if gain.gap is None:
        return None
    return f"{100 * gain.gap:+.1f}{_ends(gain.interval, 100, '+.1f')}"


def _share(value: float | None, interval: Interval | None) -> str | None:
    return None if value is None else f"{value:.3f}{_ends(interval, 1, '.3f')}"


def _ends(interval: Sequence[float] | None, scale: int, form: str) -> str:
    return f" [{', '.join(f'{scale * end:{form}}' for end in interval)}]" if interval else ""


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"


def _tokens(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _shortened(override: str) -> str:
    """A setting as one writes it: `condition.variant=positive` where a name says it all."""
    key, _, text = override.partition("=")
    value = json.loads(text)
    if isinstance(value, dict) and value.keys() == {"kind"}:
        value = value["kind"]
    return f"{key}={value}" if isinstance(value, str) else override
