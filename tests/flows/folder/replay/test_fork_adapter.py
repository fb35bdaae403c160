"""A fork goes on with the adapter that its parent trained: settings that do not fit it are refused at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.folder.replay.fork import fork_run
from mopd.errors import InputError
from storage.runs import RunFolder
from storage.shards import manifests
from tests.flows.rounds_by_jobs import make_run

LORA = {"rank": 4, "target_modules": ["q_proj", "o_proj"]}
AFTERWARDS = ("rounds=2", "train.learning_rate=1e-2")


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of one round, which trained an adapter."""
    return make_run(tmp_path_factory.mktemp("adapted") / "parent", f"train.lora={json.dumps(LORA)}", "rounds=1")


@pytest.fixture(autouse=True)
def _inputs(parent: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda *_: parent.document)


def fork(parent: RunFolder, round: int, lora: dict[str, Any] | None, new: Path) -> RunFolder:
    return fork_run(parent.path, round, [*AFTERWARDS, f"train.lora={json.dumps(lora)}"], new)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rank": 8}, "rank: is 8, but training goes on with .*/round=0000/adapter, made with 4; keep that, or begin"),
        ({"alpha": 4}, "alpha: is 4, but .*, made with 32; keep that, or begin"),
        ({"target_modules": ["q_proj"]}, r"target_modules: is \[q_proj\], but .*, made with \[o_proj, q_proj\]; keep"),
        (
            {"target_modules": "all-linear"},
            r"target_modules: is \[down_proj, .*\], but .*, made with \[o_proj, q_proj\]",
        ),
    ],
    ids=str,
)
def test_an_adapter_goes_on_as_it_was_made_or_no_fork_is(
    parent: RunFolder, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"^train.lora.{message}") as caught:
        fork(parent, 1, LORA | changed, tmp_path / "fork")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert manifests(fork(parent, 0, LORA | changed, tmp_path / "before-it"), "policies") == []


@pytest.mark.parametrize("lora", [None, LORA | {"dropout": 0.5}, LORA | {"target_modules": ["o_proj", "q_proj"]}])
def test_an_adapter_may_end_and_what_it_is_not_made_of_may_change(
    parent: RunFolder, tmp_path: Path, lora: dict[str, Any] | None
) -> None:
    assert [one.round for one in manifests(fork(parent, 1, lora, tmp_path / "fork"), "policies")] == [0]
