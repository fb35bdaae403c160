"""The jobs that train a round: its policy, and the rows of its updates."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.execute.jobs.rounds import run_template
from flows.execute.round_scores import RoundScores
from flows.execute.work import Rows, Work, commit, maker, manifest_of
from flows.folder.checkpoints import RoundCheckpoints
from flows.folder.commits import commits_of, pinned
from flows.folder.policies import base_folder, gather_trainer_state, policy_folder, remove_old_states, trainer_folder
from flows.plan.provenance import provenance
from mopd.models.chat_template import save_chat_template
from mopd.objectives import columns_read
from mopd.settings import Settings
from mopd.timeline import span
from storage.runs import RunFolder
from storage.shards import Manifest, commit_folder, refuse_committed
from storage.stores.hashes import hashing_beside

if TYPE_CHECKING:  # torch is imported by the jobs that need it
    from mopd.trainer.ranks import Ranks


def load_trainer(folder: RunFolder, settings: Settings, version: int) -> None:
    """Training has the device to itself, and loads what it needs round by round."""


def train(_: None, work: Work) -> Manifest | None:
    """Scores of a round -> the next policy, with teacher and optimizer beside it, update rows in its manifest.

    On several ranks, rank 0 makes the shard, and the others give None.
    """
    from mopd.trainer.ranks import join_ranks

    settings = pinned(work.settings, commits_of(work.folder))
    refuse_committed(work.folder, work.shard.round)  # trained from other scores: said now, not after hours of training
    inputs = [scores for scores in work.shard.inputs if scores.table == "scores"]
    parents = work.shard.parents(work.folder)
    scores = RoundScores(work.folder, inputs, columns_read(settings))
    with join_ranks() as ranks:
        if ranks.is_first:
            return _commit_policy(work, settings, scores, parents, ranks)
        _train_into(None, work, settings, scores, parents, ranks)
        return None


def _commit_policy(work: Work, settings: Settings, scores: RoundScores, parents: list[str], ranks: Ranks) -> Manifest:
    folder, shard, began = work.folder, work.shard, time.monotonic()
    num_groups = len({row["prompt_id"] for row in scores.rows})
    groups = {"groups": num_groups, "groups_wanted": settings.generate.num_prompts}
    info: dict[str, Any] = {"version": shard.round + 1, **groups, **provenance(shard), **maker()}
    info |= {"ranks": ranks.size, "shard": settings.train.shard}

    def write(out: Path) -> None:
        with hashing_beside() as hash_soon:
            updates = _train_into(out, work, settings, scores, parents, ranks, hash_soon)
        gather_trainer_state(out)
        save_chat_template(run_template(folder, settings), out)
        info.update(steps=len(updates), tokens=sum(row["tokens"] for row in updates), seconds=time.monotonic() - began)
        info["updates"] = updates

    with span("commit policy", "files"):
        manifest = commit_folder(folder, round=shard.round, key=shard.key, parents=parents, info=info, write=write)
    RoundCheckpoints(folder.path, shard.key, parents).clear()
    return manifest


def _train_into(
    out: Path | None,
    work: Work,
    settings: Settings,
    scores: RoundScores,
    parents: list[str],
    ranks: Ranks,
    written: Callable[[Path], object] = lambda path: None,
) -> Rows:
    """The update rows of the round; on rank 0 the policy is in `out`."""
    from mopd.train import train_round

    folder, version = work.folder, work.shard.round
    return train_round(
        scores.rows,
        settings,
        read=scores.read,
        policy_folder=policy_folder(folder, version),
        state_folder=trainer_folder(folder, version) if version else None,
        base_folder=base_folder(folder, version),
        reference_folder=policy_folder(folder, 0),
        out=out,
        round=version,
        progress=work.report,
        ranks=ranks,
        checkpoints=RoundCheckpoints(folder.path, work.shard.key, parents),
        written=written,
    )


def record(_: None, work: Work) -> Manifest:
    """The update rows in the policy's manifest -> updates; then older trainer states are removed."""
    folder, shard = work.folder, work.shard
    policy = manifest_of(folder, shard.input("policies"))
    rows = [{"run": folder.run_id, **row} for row in policy.info["updates"]]
    manifest = commit(folder, shard, rows, time.monotonic())
    remove_old_states(folder, shard.round, work.settings)
    return manifest
