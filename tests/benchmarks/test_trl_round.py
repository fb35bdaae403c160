"""benchmarks/trl_round.py: TRL is given the prompts, the verdicts and the batches of a mopd config."""

from __future__ import annotations

from pathlib import Path

import pytest

from mopd.settings import load_settings
from mopd.tasks.draw import draw_prompts, load_tasks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_an_update_has_the_prompts_that_it_has_in_mopd() -> None:
    import trl_round  # type: ignore[import-not-found]

    settings = load_settings(ROOT / "examples" / "demo.yaml")
    batches = trl_round.batches(settings, rows_per_pass=8)
    assert batches["generation_batch_size"] == 12 * 8
    assert batches["per_device_train_batch_size"] * batches["gradient_accumulation_steps"] == 3 * 8
    assert batches["max_steps"] == 4
    with pytest.raises(ValueError, match=r"--rows-per-pass 16: 4 updates of 96 rollouts are no multiple of it"):
        trl_round.batches(settings, rows_per_pass=16)


def test_rewards_are_the_verdicts_of_the_prompts_own_verifiers() -> None:
    import trl_round

    settings = load_settings(ROOT / "examples" / "demo.yaml")
    prompts = trl_round.round_prompts(settings)
    tasks = load_tasks(settings.tasks, settings.seed).train
    assert prompts == draw_prompts(tasks, run="", round=0, seed=0, num_prompts=12, split="train")
    first, second = prompts[:2]
    replies = [f"It is {first['answer']}.", f"{first['answer']} or 7", f"7 or {second['answer']}"]
    verdict = trl_round.make_reward(prompts, settings)
    ids = [first["prompt_id"], first["prompt_id"], second["prompt_id"]]
    completions = [[{"role": "assistant", "content": reply}] for reply in replies]
    assert verdict(completions=completions, id=ids, prompts=None, trainer_state=None) == [1.0, 0.0, 1.0]
