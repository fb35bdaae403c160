"""Two ranks on loopback train what one process trains: gradients, reports, what is saved; with copies and shares."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import mopd.train
from mopd.models.folders import load_model, resolve_model
from mopd.models.lora import trained_parameters
from mopd.objectives import objective_class
from mopd.objectives.base import Update
from mopd.settings import Settings, parse_settings
from mopd.train import NO_SIGNAL, ROUNDING, take_step, train_round
from mopd.trainer.checkpoints import UPDATES, find_checkpoint
from mopd.trainer.gradients import accumulate_gradients
from mopd.trainer.ranks import ALONE, Ranks
from mopd.trainer.shares import join_shares, own_weights, share_out, take_gradients
from mopd.trainer.state import open_state
from tests.mopd.test_invariance import OBJECTIVES, settings, update_rows
from tests.mopd.trainer.gloo import Group, started_ranks

CPU = torch.device("cpu")
WAYS = ("none", "full")
Rows = list[dict[str, Any]]
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def two() -> Iterator[Group]:
    with started_ranks(2) as group:
        yield group


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


def gradient_and_report(ranks: Ranks, folder: Path, shard: str, train: dict[str, Any], tokens: int) -> Any:
    """Of one update: gradients by parameter, whole, and what is reported of it."""
    chosen, rows = settings(train, tokens=tokens), round_rows()
    student = load_model(folder, CPU)
    if shard == "full" and ranks.size > 1:
        share_out(student, ranks, CPU)
    objective = objective_class(chosen.train)(Update(rows, chosen.train))
    ratios_T = accumulate_gradients(student, objective, chosen, CPU, number=0, ranks=ranks)
    weights = own_weights(student)
    take_gradients(student, weights)
    gradients = {
        name: join_shares(weight.grad, whole).numpy()
        for (name, whole), weight in zip(trained_parameters(student).items(), weights.values(), strict=True)
        if weight.grad is not None
    }
    report = {**objective.report(), "clipped": objective.importance_clipped(), "ratios": ratios_T.tolist()}
    return gradients, report


@pytest.mark.parametrize("tokens", [30, 10_000])
@pytest.mark.parametrize("shard", WAYS)
@pytest.mark.parametrize("train", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_gradients_and_reports_are_those_of_one(
    two: Group, folder: Path, train: dict[str, Any], shard: str, tokens: int
) -> None:
    """With many micro-batches, an odd number of them among others, and with one, which leaves a rank none."""
    expected, report = gradient_and_report(ALONE, folder, shard, train, tokens)
    found = two.run(gradient_and_report, folder, shard, train, tokens)
    for gradients, theirs in found:
        assert gradients.keys() == expected.keys()
        off = {name: value - expected[name] for name, value in gradients.items()}
        assert length(off) <= 1e-6 * length(expected)
        assert theirs.keys() == report.keys()
        for name, value in report.items():
            assert theirs[name] == (value if value is None else pytest.approx(value, rel=1e-6)), name
    assert found[0][1] == found[1][1]


def length(gradients: dict[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(np.square(value.astype(np.float64)).sum() for value in gradients.values())))


def round_settings(ranks: int = 1, shard: str = "none", **train: Any) -> Settings:
    """Three updates of several micro-batches each; `support` and `precision` are no settings of training."""
    own = {"learning_rate": 1e-3, "warmup_steps": 0, "updates_per_round": 3, "max_tokens_per_pass": 40}
    train = {**own, "ranks": ranks, "shard": shard if ranks > 1 else "none", **train}
    score = {"support": train.pop("support", "student")}
    model = {"path": "tiny:llama", "precision": train.pop("precision", "float32")}
    return parse_settings({"model": model, "score": score, "train": train})


def round_rows() -> Rows:
    """Score rows in float32."""
    wide = [f"{whose}_logprobs" for whose in ("behavior", "proximal", "reference", "teacher", "support_teacher")]
    return [
        row
        | {"policy_version": 0, "context_token_ids": np.append([9, 10], row["prompt_token_ids"])}
        | {name: row[name].astype(np.float32) for name in wide}
        for row in update_rows(num_groups=6)
    ]


def train_once(ranks: Ranks, chosen: Settings, out: Path, policy: Path, state: Path | None, round: int) -> Rows:
    """A round, from a fresh policy or from what another round left."""
    folders = {"policy_folder": policy, "state_folder": state, "base_folder": resolve_model("tiny:llama")}
    if chosen.train.lora is None:
        folders.pop("base_folder")
    return train_round(
        *(round_rows(), chosen),
        **folders,  # type: ignore[arg-type]
        out=out if ranks.is_first else None,
        round=round,
        ranks=ranks,
        device=CPU,
    )


def trained(group: Group | None, chosen: Settings, out: Path, policy: Path, state: Path | None, round: int) -> Rows:
    """As `train_once` of one process (None) or a group, whose ranks report the same."""
    if group is None:
        return train_once(ALONE, chosen, out, policy, state, round)
    first, *others = (untimed(updates) for updates in group.run(train_once, chosen, out, policy, state, round))
    assert all(other == first for other in others)
    return first


def untimed(updates: Rows) -> Rows:
    return [{name: value for name, value in update.items() if name != "seconds"} for update in updates]


def saved(folder: Path) -> dict[str, Tensors]:
    """All tensors of a saved round, by file."""
    files = sorted(folder.rglob("*.safetensors"))
    return {path.relative_to(folder).as_posix(): load_file(path) for path in files}


def assert_same_policy(first: Path, second: Path, tolerance: float = 2e-6) -> None:
    """Equal names of files and tensors, tensors equal within rounding; the other files to the byte."""
    names = [sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) for folder in (first, second)]
    assert names[0] == names[1]
    for name, tensors in saved(first).items():
        others = saved(second)[name]
        assert tensors.keys() == others.keys()
        for key, value in tensors.items():
            assert (value.dtype, value.shape) == (others[key].dtype, others[key].shape), key
            torch.testing.assert_close(value, others[key], rtol=1e-4, atol=tolerance)
    for path in first.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path


def assert_same_updates(first: Rows, second: Rows) -> None:
    for one, other in zip(untimed(first), untimed(second), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert other[name] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value), name


CHOICES: dict[str, dict[str, Any]] = {
    "ema on the disk": {},
    "ema in memory": {"teacher": {"kind": "ema", "place": "host"}},
    "no teacher of its own": {"teacher": "trust_region"},
    "checkpointing": {"gradient_checkpointing": "on"},
    "two passes": {"objective": "dpo"},
    "a teacher that is read again": {"support": "full", "teacher": "frozen"},
    "passes in bfloat16": {"precision": "bfloat16"},
}
COPIES: dict[str, dict[str, Any]] = {
    "8 bits": {"optimizer": "adamw_8bit"},
    "16 bits": {"precision": "bfloat16", "master_weights": "bfloat16"},
    "an adapter": {"lora": {"rank": 2}},
    "an adapter with dropout": {"lora": {"rank": 2, "dropout": 0.3}, "objective": "simpo"},
}


@pytest.mark.parametrize(
    ("shard", "train"),
    [
        *(pytest.param(shard, train, id=f"{shard}: {name}") for shard in WAYS for name, train in CHOICES.items()),
        *(pytest.param("none", train, id=f"none: {name}") for name, train in COPIES.items()),
    ],
)
def test_a_round_of_two_is_a_round_of_one_and_each_goes_on_from_the_other(
    two: Group, folder: Path, tmp_path: Path, shard: str, train: dict[str, Any]
) -> None:
    """1 then 1, 2 then 2, 1 then 2 and 2 then 1: one format of what is saved, the same numbers but for rounding."""
    alone, both = round_settings(1, **train), round_settings(2, shard, **train)
    ways: dict[str, tuple[Group | None, Settings]] = {"1": (None, alone), "2": (two, both)}
    updates = {name: trained(*way, tmp_path / name, folder, None, 0) for name, way in ways.items()}
    assert_same_updates(updates["1"], updates["2"])
    assert_same_policy(tmp_path / "1", tmp_path / "2")
    for first, second in ("11", "12", "21", "22"):
        before = tmp_path / first
        name = first + second
        updates[name] = trained(*ways[second], tmp_path / name, before, before, 1)
        assert_same_updates(updates["11"], updates[name])
        assert_same_policy(tmp_path / "11", tmp_path / name)


def held_and_skipped(ranks: Ranks, folder: Path, shard: str) -> tuple[int, list[str | None]]:
    """Numbers of trained weights that a rank holds, and why it skipped updates of three kinds."""
    state = open_state(
        folder, None, round_settings(2, shard, objective="grpo", importance="none").train, CPU, ranks=ranks
    )
    held = sum(weight.numel() for weight in state.weights.values())
    reports = [
        take_step(state, rows, round_settings(2, shard, objective="grpo", importance="none"), CPU)
        for rows in ([row | {"advantage": advantage} for row in round_rows()] for advantage in (None, 1e-12, 1.0))
    ]
    return held, [report["skipped"] for report in reports]


def test_ranks_hold_copies_or_shares_and_skip_together(two: Group, folder: Path) -> None:
    num_weights = sum(weight.numel() for weight in trained_parameters(load_model(folder, CPU)).values())
    held, skipped = zip(*two.run(held_and_skipped, folder, "none"), strict=True)
    assert held == (num_weights, num_weights)
    shares, skipped_by_shares = zip(*two.run(held_and_skipped, folder, "full"), strict=True)
    assert sum(shares) == num_weights and max(shares) < 0.51 * num_weights
    assert [*skipped, *skipped_by_shares] == [[NO_SIGNAL, ROUNDING, None]] * 4


def found_checkpoint(ranks: Ranks, root: Path) -> Path | None:
    """What a rank goes on from where rank 0 alone has a folder."""
    return find_checkpoint(OneFolder(root / f"rank-{ranks.rank}"), ranks)


class OneFolder:
    """A checkpoint in a folder of a host's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> Path | None:
        return self.folder

    def write(self, number: int, write: Callable[[Path], None]) -> None:
        raise AssertionError("not asked")


class LastAlone:
    """Checkpoints below a folder that all ranks share; each takes the place of the one before."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def newest(self) -> Path | None:
        return max(self.root.glob("update-*"), default=None)

    def write(self, number: int, write: Callable[[Path], None]) -> None:
        before = self.newest()
        write(self.root / f"update-{number}")
        if before is not None:
            shutil.rmtree(before)


def open_state_late(*args: Any, **options: Any) -> Any:
    time.sleep(2)
    return open_state(*args, **options)


def train_without_signal(ranks: Ranks, root: Path, out: Path, policy: Path) -> int:
    """A round of updates that exchange nothing, by ranks of which the second takes its time to begin."""
    chosen = round_settings(2, objective="grpo", checkpoint_every_updates=1, gradient_checkpointing="off")
    with pytest.MonkeyPatch.context() as patch:
        if ranks.rank == 1:
            patch.setattr(mopd.train, "open_state", open_state_late)
        updates = train_round(
            [row | {"advantage": None} for row in round_rows()],
            chosen,
            policy_folder=policy,
            state_folder=None,
            out=out if ranks.is_first else None,
            round=0,
            device=CPU,
            ranks=ranks,
            checkpoints=LastAlone(root),
        )
    return len(updates)


def test_a_checkpoint_stays_until_all_ranks_have_read_it(two: Group, folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "checkpoints"
    train_without_signal(ALONE, root, tmp_path / "alone", folder)
    (root / "update-2").rename(root / "update-1")
    updates = json.loads((root / "update-1" / UPDATES).read_text())
    (root / "update-1" / UPDATES).write_text(json.dumps(updates[:1]))
    assert two.run(train_without_signal, root, tmp_path / "both", folder) == [3, 3]


def test_a_checkpoint_that_not_all_ranks_see_is_none(two: Group, tmp_path: Path) -> None:
    assert two.run(found_checkpoint, tmp_path) == [None, None]
    (tmp_path / "rank-0").mkdir()
    assert two.run(found_checkpoint, tmp_path) == [tmp_path / "rank-0"] * 2
