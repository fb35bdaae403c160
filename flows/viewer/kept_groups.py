"""Which groups a file has room for: of each round as many, those with both outcomes first.

The last round's are packed first, then the first one's, then the others' backwards. Prompts go by their ids, so that
rounds keep the same ones, which can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from flows.viewer.contents import Group, documents_of
from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.packer import Packer

FIRST_TURN = 8
"""Groups of each round that are packed to see how many bytes a group takes."""
CHUNK_TOKENS = 200_000
"""Of replies, whose documents are made at once."""
_SURE_SHARE = 0.9
"""Of the groups that should fit, those that the next turn tries: groups differ."""
_GROUPS = """
SELECT round, prompt_id, num_rollouts * mean_tokens AS tokens FROM groups
ORDER BY round, kind IS DISTINCT FROM 'mixed', prompt_id
"""

Sized = tuple[str, float]
"""A prompt's id, and the tokens of its replies."""


def pack_groups(run: ViewedRun, packer: Packer, say: Callable[[int, int], None]) -> tuple[list[Group], int]:
    """Pack groups in turns, as many of each round in a turn, until all are packed or some don't fit.

    `say` is told how many of how many are done. Returns the groups that are in the file, and how many there are.
    """
    waiting = _groups_by_round(run)
    groups = [(round, prompt) for round, sized in waiting.items() for prompt, _ in sized]
    begun, turn, done = packer.size, FIRST_TURN, 0
    while any(waiting.values()) and not packer.is_full:
        for round, sized in waiting.items():
            taken, waiting[round] = sized[:turn], sized[turn:]
            _pack(run, round, taken, packer)
            done += len(taken)
            say(done, len(groups))
        rounds_left = sum(map(bool, waiting.values()))
        fitting = (packer.max_bytes - packer.size) / max((packer.size - begun) / done, 1)
        turn = max(1, int(_SURE_SHARE * fitting / max(rounds_left, 1)))
    return [group for group in groups if group_place(run, group) in packer.places], len(groups)


def group_place(run: ViewedRun, group: Group) -> str:
    """What the file's directory calls a group."""
    return f"{run.id}/{group[0]}/{group[1]}"


def _groups_by_round(run: ViewedRun) -> dict[int, list[Sized]]:
    """In the order in which they are packed."""
    rows = groupby(run.ask(_GROUPS), key=lambda row: int(row["round"]))
    sized = {round: [(row["prompt_id"], row["tokens"] or 0) for row in of_round] for round, of_round in rows}
    first, *others = sorted(sized) or [0]
    order = [*others[-1:], first, *others[-2::-1]]
    return {round: sized[round] for round in order if round in sized}


def _pack(run: ViewedRun, round: int, sized: Sequence[Sized], packer: Packer) -> None:
    """Groups of a round; they lie in blocks of their own."""
    for prompts in _chunks(sized):
        if packer.is_full:
            return
        for prompt, documents in documents_of(run, round, prompts).items():
            packer.add_group(group_place(run, (round, prompt)), documents)
    packer.flush()


def _chunks(sized: Sequence[Sized]) -> Iterator[list[str]]:
    """Prompts whose replies have about CHUNK_TOKENS together."""
    prompts: list[str] = []
    total = 0.0
    for prompt, tokens in sized:
        prompts.append(prompt)
        total += tokens
        if total >= CHUNK_TOKENS:
            yield prompts
            prompts, total = [], 0.0
    if prompts:
        yield prompts
