"""Does the teacher see what the verifier sees, under which context? What `mopd analyze signal` and its flow know."""

from __future__ import annotations

from flows.measure.contexts.analysis import Analysis
from flows.measure.contexts.signal_report import SignalResults
from mopd.errors import InputError
from mopd.measures.signal_summary import summarize_signals
from mopd.settings.context_choice import ContextChoice
from storage.runs import RunFolder

DEFAULT_VARIANTS = ("none", "success", "positive", "failure", "contrastive", "random_peer", "score_ordered")
"""Compared where nothing else is asked for: what needs nothing of the rollouts."""
REFERENCE = "none"


def reference_of(choices: list[ContextChoice], wanted: str | None) -> str:
    """What differences are taken from: what was asked for, else `none` where it is there, else the first context."""
    names = [choice.name for choice in choices]
    if wanted is not None and wanted not in names:
        raise InputError(f"--reference {wanted}: is none of the contexts; choose one of {', '.join(names)}")
    return wanted or (REFERENCE if REFERENCE in names else names[0])


def signal_results(folder: RunFolder, analysis: Analysis, reference: str) -> SignalResults:
    """All that the signals of the contexts come to. Raises StorageError where a shard has gone."""
    rows = analysis.rows(folder, "signals")
    signals = summarize_signals(rows, reference=reference, **analysis.settings.draws)
    return SignalResults(rows, signals, reference)
