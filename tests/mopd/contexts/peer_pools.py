"""Pools of made-up candidates, by outcome."""

from __future__ import annotations

from typing import Any

from mopd.contexts.peers import Candidate, Pool, Source
from mopd.contexts.summaries import Summary

OUTCOMES = {"+": True, "-": False, "?": None}


def candidate(
    sample: int, success: bool, *, prompt_id: str = "p", round: int = 1, reward: float | None = None
) -> Candidate:
    """A candidate whose text says which it is."""
    text = f"{prompt_id}{sample}@{round}"
    return Candidate(
        Source(round, prompt_id, sample),
        success,
        float(success) if reward is None else reward,
        text,
        summary=Summary(f"sum of {text}", tagged=success),
        question=f"Q {prompt_id}",
    )


def pool_of(
    outcomes: list[bool | None] | str, sample: int = 0, *, seed: int = 0, exclude_self: bool = True, **more: Any
) -> Pool:
    """The pool of one rollout of a group: + success, - failure, ? no verdict."""
    found = [OUTCOMES[mark] for mark in outcomes] if isinstance(outcomes, str) else outcomes
    peers = tuple(
        candidate(peer, outcome)
        for peer, outcome in enumerate(found)
        if outcome is not None and not (exclude_self and peer == sample)
    )
    return Pool(peers, seed, **more)
