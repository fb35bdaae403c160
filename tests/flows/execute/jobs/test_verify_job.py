"""The verify stage knows whether the replies that it judges were asked for a summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mopd.verify import verify
from storage.shards import manifests, read_rows
from tests.flows.rounds_by_jobs import make_run


@pytest.mark.parametrize(("variant", "reward"), [("summary", 1.0), ("contrastive", 0.0)])
def test_a_summary_is_not_judged_where_one_was_asked_for(
    variant: str, reward: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(prompts: Any, rollouts: Any, *args: Any, **options: Any) -> Any:
        answers = {prompt["prompt_id"]: prompt["answer"] for prompt in prompts}
        texts = [f"{answers[row['prompt_id']]} <summary>More than -1.</summary>" for row in rollouts]
        return verify(prompts, [row | {"text": text} for row, text in zip(rollouts, texts)], *args, **options)

    monkeypatch.setattr("mopd.verify.verify", noted)
    run = make_run(tmp_path / "run", f"condition.variant={variant}", "rounds=1")
    rewards = {row["reward"] for one in manifests(run, "verdicts") for row in read_rows(run, one)}
    assert rewards == {reward}
