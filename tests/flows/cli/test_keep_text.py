"""Promises: what `mopd verify` says is counted as one says it."""

from __future__ import annotations

import pytest

from flows.cli.actions.keep import soundness_text
from flows.folder.keep.soundness import MISSING, Problem, Soundness


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, ["not finished: 1 shard is still", "1 file or folder that", "1 problem; to mend it"]),
        (2, ["not finished: 2 shards are still", "2 files or folders that", "2 problems; to mend them"]),
    ],
)
def test_numbers_agree_with_their_words(number: int, said: list[str]) -> None:
    lost = [Problem(f"updates/{one}.json", MISSING) for one in range(number)]
    unnamed = [f"rollouts/{one}.parquet" for one in range(number)]
    text = soundness_text(Soundness("run", [], [], lost, is_makeable=True, to_come=number, unnamed=unnamed))
    assert [part for part in said if part not in text] == []
