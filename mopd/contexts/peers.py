"""Peers by role: which rollouts a rollout's teacher is shown.

A peer policy is one function in `VARIANTS`; adding one touches no caller. Controls, which fill another variant's slots,
are in `mopd.contexts.controls`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mopd.registry import Registry
from mopd.seeds import derive_seed

if TYPE_CHECKING:
    from mopd.contexts.summaries import Summary
    from mopd.settings.variants import SummaryVariant

Role = Literal[
    "reference",
    "first_success",
    "summary",
    "second_success",
    "third_success",
    "failure",
    "peer",
    "unrelated",
    "feedback",
]
"""What a section is: the task's own solution (`reference`), a peer known to be right or wrong, a summary of one, a peer
whose outcome isn't told (`peer`), a success of another prompt (`unrelated`), or the verifier's feedback on the rollout
itself."""


class Source(NamedTuple):
    """The rollout that a section shows."""

    round: int
    prompt_id: str
    sample: int | None
    """None for the task's own solution, which nobody sampled."""


@dataclass(frozen=True)
class Candidate:
    """A rollout that may be shown: it has a verdict and text. Or the task's own solution."""

    source: Source
    success: bool
    reward: float
    text: str
    """The reply as it would be shown."""
    summary: Summary
    question: str
    """What its prompt's last user message says."""


@dataclass(frozen=True)
class Slot:
    """A candidate in a role."""

    role: Role
    candidate: Candidate
    top_up: bool = False
    """Whether it stands in for a success that the group doesn't have."""


@dataclass(frozen=True)
class Pool:
    """Whom one rollout may be shown; its draws start from `seed`, each anew, whatever was drawn before."""

    peers: tuple[Candidate, ...]
    """Of its group, itself left out, lowest sample first."""
    seed: int
    earlier: tuple[Candidate, ...] = ()
    """Successes of the same prompt in earlier rounds, newest first; empty where the group has a success."""
    others: tuple[Candidate, ...] = ()
    """Successes of other prompts of the shard, which controls alone show."""
    show_failure: Literal["always", "when_no_success"] = "always"
    reference: Candidate | None = None
    """The task's own solution, where it has one."""

    def successes(self) -> list[Candidate]:
        """Successful peers, lowest sample first; those of earlier rounds after them."""
        return [*(peer for peer in self.peers if peer.success), *self.earlier]

    def failures(self) -> list[Candidate]:
        """Failed peers, lowest sample first."""
        return [peer for peer in self.peers if not peer.success]

    def failure(self) -> Candidate | None:
        """A failed peer drawn evenly; None where there is none, or successes hide it."""
        failures = self.failures()
        hidden = self.show_failure == "when_no_success" and bool(self.successes())
        return random.Random(self.seed).choice(failures) if failures and not hidden else None

    def shuffled(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """All candidates in an order of the rollout's own."""
        return random.Random(derive_seed("shuffled", self.seed)).sample(candidates, len(candidates))


PeerPolicy = Callable[[Pool, Any], list[Slot]]
"""Slots in the order of the roles, from a rollout's pool and the variant's settings."""

VARIANTS: Registry[PeerPolicy] = Registry("peer policy")


@VARIANTS.register()
def none(pool: Pool, settings: Any) -> list[Slot]:
    """The prompt alone: plain on-policy distillation."""
    return []


@VARIANTS.register()
def success(pool: Pool, settings: Any) -> list[Slot]:
    """One successful peer (what SDPO shows its teacher)."""
    return positive(pool, settings)[:1]


@VARIANTS.register()
def positive(pool: Pool, settings: Any) -> list[Slot]:
    """Up to two successful peers: positive peer imitation."""
    roles: tuple[Role, ...] = ("first_success", "second_success")
    return [Slot(role, peer) for role, peer in zip(roles, pool.successes(), strict=False)]


@VARIANTS.register()
def contrastive(pool: Pool, settings: Any) -> list[Slot]:
    """Up to two successful peers and a failed one: contrastive success-failure (arXiv 2605.12652's best)."""
    return [*positive(pool, settings), *failure(pool, settings)]


@VARIANTS.register()
def failure(pool: Pool, settings: Any) -> list[Slot]:
    """One failed peer."""
    drawn = pool.failure()
    return [Slot("failure", drawn)] if drawn else []


@VARIANTS.register()
def reference(pool: Pool, settings: Any) -> list[Slot]:
    """The task's own solution (what OPSD, arXiv 2601.18734, and SDFT, arXiv 2601.19897, show their teachers)."""
    return [Slot("reference", pool.reference)] if pool.reference else []


@VARIANTS.register()
def feedback(pool: Pool, settings: Any) -> list[Slot]:
    """No peer: the verifier's feedback, which every variant may show, alone."""
    return []


@VARIANTS.register()
def summary(pool: Pool, settings: SummaryVariant) -> list[Slot]:
    """Up to k peers, each by one sentence; those that did nothing but think have none."""
    sources = {"success": pool.successes(), "failure": pool.failures(), "all": [*pool.peers, *pool.earlier]}
    summarized = [peer for peer in sources[settings.source] if peer.summary.text]
    return [Slot("summary", peer) for peer in summarized[: settings.num_summaries]]
