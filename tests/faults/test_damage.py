"""A shard or its manifest is damaged between two starts: the next one makes it again, or whoever reads it says so."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.manifests import POLICIES, Manifest
from storage.runs import RunFolder
from tests.faults.conftest import Begin
from tests.faults.trial import Trial

pytestmark = pytest.mark.timeout(1200)
MADE = ("prompts", "rollouts", "verdicts", "contexts", "scores", "signals", "updates", "evaluations", POLICIES)
"""Tables that every run has."""


def truncate(file: Path, draw: random.Random) -> None:
    """Anything of its end is gone."""
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(len(content))])


def delete(file: Path, draw: random.Random) -> None:
    """All of it is gone."""
    file.unlink()


def flip(file: Path, draw: random.Random) -> None:
    """One bit of it is another one."""
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


SEEN: dict[str, Callable[[Path, random.Random], None]] = {"truncated": truncate, "deleted": delete}
"""What the next start sees: a shard's size is looked at, its bytes are not."""


def damaged(
    trial: Trial, table: str, *, manifest: bool, damage: Callable[[Path, random.Random], None], first: bool = False
) -> str:
    """Damage a shard of the table in a copy of a finished run, or its manifest; the file's name in the run.

    Of policies the first, and of scores those of the first round where `first`: what others were made from, the state
    of a trainer, is not kept by default.
    """
    trial.run.parent.mkdir(exist_ok=True)
    shutil.copytree(trial.undisturbed.run, trial.run)
    folder = RunFolder.open(trial.run)
    of_table = [name for name in trial.undisturbed.commits if name.startswith(f"{table}/")]
    if table == POLICIES:
        of_table = of_table[:1]
    elif first and table == "scores":
        of_table = [name for name in of_table if name.startswith("scores/round=0000/")]
    name = trial.draw.choice(of_table)
    if not manifest:
        files = [
            file for file, size, _, may_go in Manifest.read(folder.store, name).list_files() if size and not may_go
        ]
        name = trial.draw.choice(files)
    damage(trial.run / name, trial.draw)
    trial.hits.append(table)
    return name


@pytest.mark.faults
@pytest.mark.parametrize("table", MADE)
@pytest.mark.parametrize("kind", SEEN)
@pytest.mark.parametrize("what", ["shard", "manifest"])
def test_what_is_damaged_is_made_again(begin: Begin, table: str, kind: str, what: str) -> None:
    trial = begin(f"{what} {kind}")
    damaged(trial, table, manifest=what == "manifest", damage=SEEN[kind], first=True)
    trial.complete_warm()


@pytest.mark.faults
@pytest.mark.parametrize("table", MADE)
def test_a_flipped_bit_is_found_and_mended(begin: Begin, table: str) -> None:
    """A finished run is not read again by a start: `mopd verify` reads it, and `mopd repair` sets the shard aside."""
    trial = begin("shard with a flipped bit")
    name = damaged(trial, table, manifest=False, damage=flip)
    found = trial.prefect.mopd("verify", trial.run)
    assert (found.returncode, name in found.stdout + found.stderr) == (1, True), found.stdout + found.stderr
    mended = trial.prefect.mopd("repair", trial.run)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    trial.complete_warm()
    assert trial.prefect.mopd("verify", trial.run).returncode == 0


def test_a_policy_and_a_shard_that_lost_their_ends_are_made_again(begin: Begin) -> None:
    """The core of the above, in `make test`."""
    trial = begin("shard and policy truncated")
    name = damaged(trial, POLICIES, manifest=False, damage=truncate)
    shard = next(path for path in trial.run.glob("scores/round=0000/*.parquet"))
    truncate(shard, trial.draw)
    assert name.startswith(POLICIES)
    trial.complete_warm()
