"""A round that is killed goes on from its last checkpoint and ends where it would have ended, bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mopd.models.folders import resolve_model
from mopd.train import train_round
from tests.mopd.trainer.test_ranks import round_rows, round_settings, untimed

Rows = list[dict[str, Any]]
CHOICES: dict[str, dict[str, Any]] = {
    "ema on the disk": {},
    "ema in memory": {"teacher": {"kind": "ema", "place": "host"}},
    "no teacher of its own": {"teacher": "live"},
    "8 bits": {"optimizer": "adamw_8bit"},
    "16 bits": {"precision": "bfloat16", "master_weights": "bfloat16"},
    "an adapter with dropout": {"lora": {"rank": 2, "dropout": 0.3}},
}


class Killed(Exception):
    """Stands for a kill."""


class Folders:
    """Checkpoints below a folder; killed once the one after `last` updates is there."""

    def __init__(self, root: Path, last: int | None = None) -> None:
        self.root, self.last, self.written = root, last, list[int]()

    def newest(self) -> Path | None:
        return max(self.root.glob("update-*"), default=None)

    def write(self, number: int, write: Callable[[Path], None]) -> None:
        write(self.root / f"update-{number}")
        self.written.append(number)
        if number == self.last:
            raise Killed


def trained(out: Path, checkpoints: Folders | None, *, every: int | None, **train: Any) -> Rows:
    folder = resolve_model("tiny:llama")
    chosen = round_settings(checkpoint_every_updates=every, **train)
    folders: dict[str, Any] = {"policy_folder": folder, "state_folder": None, "out": out}
    return untimed(
        train_round(round_rows(), chosen, **folders, round=0, checkpoints=checkpoints, device=torch.device("cpu"))
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("train", CHOICES.values(), ids=CHOICES.keys())
def test_a_killed_round_ends_where_it_would_have_ended(tmp_path: Path, train: dict[str, Any]) -> None:
    expected = trained(tmp_path / "whole", None, every=None, **train)
    for last in (1, 2):
        root = tmp_path / f"checkpoints-{last}"
        with pytest.raises(Killed):
            trained(tmp_path / "killed", Folders(root, last), every=1, **train)
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        checkpoints = Folders(root)
        found = trained(tmp_path / f"again-{last}", checkpoints, every=1, **train)
        assert found == expected
        assert checkpoints.written == list(range(last + 1, 3))
        assert files_of(tmp_path / f"again-{last}") == files_of(tmp_path / "whole")


def test_there_is_none_after_the_last_update_and_none_unless_asked_for(tmp_path: Path) -> None:
    for every, written in ((None, []), (1, [1, 2]), (2, [2]), (3, [])):
        checkpoints = Folders(tmp_path / f"checkpoints-{every}")
        trained(tmp_path / f"out-{every}", checkpoints, every=every)
        assert checkpoints.written == written
