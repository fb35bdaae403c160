"""Controls: other fillings for a variant's slots, at its budget, to show what its gain comes from.

A control is one function that puts its fillers in order; as many are taken as the context that it imitates has
sections, or as fit into that context's tokens.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace

from mopd.contexts.peers import Candidate, Pool, Role, Slot
from mopd.contexts.render import Context, Section
from mopd.registry import Registry

Filler = Callable[[Pool], list[Slot]]
Count = Callable[[tuple[Section, ...]], int]
"""Tokens of the context with these sections, whatever the budget."""

CONTROLS: Registry[Filler] = Registry("control")


@CONTROLS.register()
def random_peer(pool: Pool) -> list[Slot]:
    """Peers in an order drawn without a look at their outcomes, which aren't told either."""
    return [Slot("peer", peer) for peer in pool.shuffled(pool.peers)]


@CONTROLS.register()
def unrelated_prompt(pool: Pool) -> list[Slot]:
    """Right replies to other questions: the shape of the context without its content."""
    return [Slot("unrelated", candidate) for candidate in pool.shuffled(pool.others)]


@CONTROLS.register()
def success_only(pool: Pool) -> list[Slot]:
    """Successes all the way; where the group has no more of them, other prompts' stand in."""
    top_ups = [Slot("unrelated", candidate, top_up=True) for candidate in pool.shuffled(pool.others)]
    return [*(_ranked(rank, peer) for rank, peer in enumerate(pool.successes())), *top_ups]


@CONTROLS.register()
def score_ordered(pool: Pool) -> list[Slot]:
    """Peers by reward, highest first, ties by sample; which of them succeeded isn't told."""
    return [Slot("peer", peer) for peer in sorted(pool.peers, key=lambda peer: -peer.reward)]


def match_blocks(fillers: tuple[Section, ...], imitated: Context, count: Count) -> tuple[Section, ...]:
    """As many whole fillers as the imitated context has sections, or all there are."""
    return fillers[: len(imitated.sections)]


def match_tokens(fillers: tuple[Section, ...], imitated: Context, count: Count) -> tuple[Section, ...]:
    """As many fillers as fit into the imitated context's tokens, the last one cut to fill them.

    The context never has more tokens than the imitated one. It has fewer by no more than a heading and a word, unless
    the fillers run out.
    """
    target = len(imitated.token_ids) if imitated.sections else 0
    num_whole = 0
    while num_whole < len(fillers) and count(fillers[: num_whole + 1]) <= target:
        num_whole += 1
    taken = fillers[:num_whole]
    partial = fillers[num_whole : num_whole + 1]
    cut = (part for filler in partial for part in _cut(filler, lambda part: count((*taken, part)) <= target))
    return (*taken, *cut)


MATCHES: dict[str, Callable[[tuple[Section, ...], Context, Count], tuple[Section, ...]]] = {
    "blocks": match_blocks,
    "tokens": match_tokens,
}


def _ranked(rank: int, peer: Candidate) -> Slot:
    roles: tuple[Role, ...] = ("first_success", "second_success")
    return Slot(roles[rank] if rank < len(roles) else "third_success", peer)


def _cut(filler: Section, fits: Callable[[Section], bool]) -> tuple[Section, ...]:
    """The filler with as many of its first words as fit; nothing where not one does."""
    words = re.findall(r"\S+\s*", filler.text)

    def first(number: int) -> Section:
        return replace(filler, text="".join(words[:number]), cut=True)

    number = bisect_left(range(1, len(words)), True, key=lambda number: not fits(first(number)))
    return (first(number),) if number else ()
