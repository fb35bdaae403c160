"""Peers by role: which members of its group a rollout's teacher is shown.

A peer policy is one function in `VARIANTS`; adding one touches no caller.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Peers:
    """Sample indices by role; None where the role stays empty."""

    first_success: int | None = None
    second_success: int | None = None
    failure: int | None = None


@dataclass(frozen=True)
class Group:
    """Outcomes of the G rollouts of a prompt, by sample index: success, failure, or None (no verdict: never a peer)."""

    outcomes: tuple[bool | None, ...]
    exclude_self: bool = True

    def successes(self, sample: int) -> list[int]:
        """Successful peers of `sample`, lowest index first."""
        return self._peers(sample, True)

    def failures(self, sample: int) -> list[int]:
        """Failed peers of `sample`, lowest index first."""
        return self._peers(sample, False)

    def _peers(self, sample: int, outcome: bool) -> list[int]:
        return [
            peer
            for peer, peer_outcome in enumerate(self.outcomes)
            if peer_outcome is outcome and not (self.exclude_self and peer == sample)
        ]


Draw = Callable[[Sequence[int]], int | None]
"""Picks one candidate from the rollout's own random stream; None when there is none."""
PeerPolicy = Callable[[Group, int, Draw], Peers]

VARIANTS: dict[str, PeerPolicy] = {}


def variant(policy: PeerPolicy) -> PeerPolicy:
    """Registers a peer policy under its function's name."""
    name = policy.__name__
    assert name not in VARIANTS, f"two peer policies are named {name}"
    VARIANTS[name] = policy
    return policy


@variant
def none(group: Group, sample: int, draw: Draw) -> Peers:
    """The prompt alone: plain on-policy distillation."""
    return Peers()


@variant
def success(group: Group, sample: int, draw: Draw) -> Peers:
    """One successful peer (what SDPO shows its teacher)."""
    return Peers(first_success=_nth(group.successes(sample), 0))


@variant
def positive(group: Group, sample: int, draw: Draw) -> Peers:
    """Up to two successful peers: positive peer imitation."""
    successes = group.successes(sample)
    return Peers(first_success=_nth(successes, 0), second_success=_nth(successes, 1))


@variant
def contrastive(group: Group, sample: int, draw: Draw) -> Peers:
    """Up to two successful peers and a failed one: contrastive success-failure (arXiv 2605.12652's best)."""
    return replace(positive(group, sample, draw), failure=draw(group.failures(sample)))


@variant
def failure(group: Group, sample: int, draw: Draw) -> Peers:
    """One failed peer."""
    return Peers(failure=draw(group.failures(sample)))


def select_peers(
    variant: str,
    successes: Sequence[bool | None],
    sample: int,
    *,
    rng_seed: int,
    exclude_self: bool = True,
    show_failure: Literal["always", "when_no_success"] = "always",
) -> Peers:
    """The peers of rollout `sample` in a group whose outcomes, by sample index, are `successes` [G].

    `rng_seed` starts the stream that drawn peers come from: derive it from (run seed, round, prompt, sample), so that
    neither other rollouts nor the order of work change the draw. `when_no_success` hides the failed peer as soon as
    the group has a successful peer, whether or not the variant shows that one.
    """
    assert 0 <= sample < len(successes), f"sample {sample} is not in a group of {len(successes)}"
    group = Group(tuple(successes), exclude_self)
    rng = random.Random(rng_seed)
    peers = VARIANTS[variant](group, sample, lambda candidates: rng.choice(candidates) if candidates else None)
    if show_failure == "when_no_success" and group.successes(sample):
        return replace(peers, failure=None)
    return peers


def _nth(candidates: list[int], n: int) -> int | None:
    return candidates[n] if n < len(candidates) else None
