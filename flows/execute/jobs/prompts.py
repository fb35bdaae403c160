"""The prompts of rounds and of evaluations, drawn from a run's tasks."""

from __future__ import annotations

from functools import lru_cache

from flows.execute.work import Rows, Work
from flows.folder.commits import commits_of, pinned
from mopd.groups import Candidates, num_further
from mopd.settings import Settings
from mopd.tasks.draw import TaskSplit, draw_prompts, load_tasks, prompt_rows


def draw(_: None, work: Work) -> Rows:
    """The prompts of a round, or the held-out ones that a policy is asked.

    In a table of prompts, those of training come first, then the held-out ones, then what a round may ask besides.
    """
    settings = pinned(work.settings, commits_of(work.folder))
    size, index = settings.prompts_per_shard, work.shard.shard
    heldout = _load_tasks(settings).heldout
    first = -(-settings.generate.num_prompts // size)
    num_heldout = -(-len(heldout) // size)
    if first <= index < first + num_heldout:
        begin = (index - first) * size
        tasks = heldout[begin : begin + size]
        return prompt_rows(tasks, run=work.folder.run_id, round=work.shard.round, split="heldout")
    candidate = index if index < first else index - num_heldout
    return draw_prompts(
        _load_tasks(settings).train,
        run=work.folder.run_id,
        round=work.shard.round,
        seed=settings.seed,
        num_prompts=settings.generate.num_prompts,
        num_further=num_further(settings.generate),
        split="train",
        part=Candidates.of(settings.generate, size).prompts(candidate),
    )


@lru_cache(maxsize=1)
def _load_tasks(settings: Settings) -> TaskSplit:
    """The tasks of a run, loaded once a process: in a fork, earlier rounds may have had others."""
    return load_tasks(settings.tasks, settings.seed, settings.verify)
