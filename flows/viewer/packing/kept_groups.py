"""Which groups a file has room for: of each round about as many, those with both outcomes first.

The last round's are packed first, then the first one's, then the others' backwards. Prompts go by their ids, so that
rounds keep the same ones, which can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.packing.contents import Kept, document_key, group_contents
from flows.viewer.packing.packer import Packer

FIRST_TURN = 8
"""Groups of each round that are packed to see how many bytes a group takes."""
CHUNK_TOKENS = 200_000
"""Of replies, whose documents are made at once."""
_SURE_SHARE = 0.9
"""Of the groups that should fit, those that the next turn tries: groups differ."""
_GROUPS = """
WITH placed AS (SELECT round, prompt_id, row_number() OVER () AS place FROM prompts)
SELECT round, prompt_id, coalesce(num_rollouts * mean_tokens, 0) AS tokens, coalesce(place, 0) AS place
FROM groups LEFT JOIN placed USING (round, prompt_id)
ORDER BY round, kind IS DISTINCT FROM 'mixed', prompt_id
"""


class Sized(NamedTuple):
    """A group of a round, before its documents are made."""

    prompt: str
    tokens: float
    """Of its replies."""
    place: int
    """Of the prompt in its table: neighbours lie in one shard."""


def pack_groups(run: ViewedRun, packer: Packer, say: Callable[[int, int], None]) -> Kept:
    """Pack groups in turns, as many of each round in a turn, until all are packed or some don't fit.

    `say` is told how many of how many are done.
    """
    waiting = _groups_by_round(run)
    kept = Kept({round: [group.prompt for group in sized] for round, sized in waiting.items()})
    begun, turn, done = packer.size, FIRST_TURN, 0
    while any(waiting.values()) and not packer.is_full:
        for round, sized in waiting.items():
            taken, waiting[round] = sized[:turn], sized[turn:]
            _pack(run, round, taken, packer, kept)
            done += len(taken)
            say(done, kept.num_groups)
        rounds_left = sum(map(bool, waiting.values()))
        fitting = (packer.max_bytes - packer.size) / max((packer.size - begun) / done, 1)
        turn = max(1, int(_SURE_SHARE * fitting / max(rounds_left, 1)))
    kept.keep(packer.places, run)
    return kept


def _groups_by_round(run: ViewedRun) -> dict[int, list[Sized]]:
    """In the order in which they are packed."""
    sized: dict[int, list[Sized]] = {}
    for row in run.ask(_GROUPS):
        sized.setdefault(row["round"], []).append(Sized(row["prompt_id"], row["tokens"], row["place"]))
    first, *others = sorted(sized) or [0]
    order = [*others[-1:], first, *others[-2::-1]]
    return {round: sized[round] for round in order if round in sized}


def _pack(run: ViewedRun, round: int, sized: Sequence[Sized], packer: Packer, kept: Kept) -> None:
    """Groups of a round; they lie in blocks of their own."""
    for prompts in _chunks(sized):
        if packer.is_full:
            return
        for prompt, documents in group_contents(run, round, prompts, kept).items():
            packer.add_group(document_key(run, round, prompt), documents)
    packer.flush()


def _chunks(sized: Sequence[Sized]) -> Iterator[list[str]]:
    """Prompts whose replies have about CHUNK_TOKENS together."""
    prompts: list[str] = []
    total = 0.0
    for group in sorted(sized, key=lambda group: group.place):
        prompts.append(group.prompt)
        total += group.tokens
        if total >= CHUNK_TOKENS:
            yield prompts
            prompts, total = [], 0.0
    if prompts:
        yield prompts
