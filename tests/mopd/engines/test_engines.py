"""Engines: exact ids, the log-probability of the distribution that was sampled from, seeds that mean something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mopd.engines import Request, Sampling, make_engine
from mopd.errors import InputError
from mopd.generate import generate, sample_evaluation
from mopd.models.chat_template import ChatTemplate
from mopd.models.folders import load_model, load_tokenizer, resolve_model
from mopd.settings import GenerateSettings, Settings, parse_settings


def settings(engine: str) -> Settings:
    return parse_settings(
        {
            "model": {"path": "tiny:llama", "precision": "float32"},
            "generate": {"engine": engine, "num_samples": 3, "temperature": 0.8, "max_tokens": 6},
        }
    )


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Any:
    chosen = settings("transformers")
    return make_engine(chosen.generate, chosen.model, folder)


def prompts() -> list[dict[str, Any]]:
    return [
        {"prompt_id": name, "messages": [{"role": "user", "content": text}]}
        for name, text in (("a", "Which is larger, 27 or 40?"), ("b", "7 or 8?"))
    ]


def rollouts(engine: Any, folder: Path, asked: list[dict[str, Any]], seed: int = 0) -> list[dict[str, Any]]:
    chosen, template = settings("transformers").generate, ChatTemplate(load_tokenizer(folder))
    return generate(asked, engine, template, chosen, run="r", round=0, seed=seed, policy_version=0)


def test_logprobs_are_those_of_the_distribution_sampled_from(engine: Any, folder: Path) -> None:
    model = load_model(folder, "cpu")
    for row in rollouts(engine, folder, prompts()):
        prompt, response = list(row["prompt_token_ids"]), [int(token) for token in row["token_ids"]]
        with torch.no_grad():
            logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        logps = torch.log_softmax(logits / 0.8, dim=-1).gather(1, torch.tensor(response)[:, None]).squeeze(1)
        np.testing.assert_allclose(row["behavior_logprobs"], logps, atol=1e-4)


def test_a_rollout_depends_on_its_seed_and_not_on_its_neighbours(engine: Any, folder: Path) -> None:
    together = rollouts(engine, folder, prompts())
    apart = rollouts(engine, folder, prompts()[1:])
    assert [list(row["token_ids"]) for row in together[3:]] == [list(row["token_ids"]) for row in apart]


def test_every_sample_has_a_seed_of_its_own(engine: Any, folder: Path) -> None:
    rows = rollouts(engine, folder, prompts())
    assert len({row["seed"] for row in rows}) == 6
    assert {row["seed"] for row in rows}.isdisjoint({row["seed"] for row in rollouts(engine, folder, prompts(), 1)})


def test_length_is_bounded_and_said(engine: Any, folder: Path) -> None:
    for row in rollouts(engine, folder, prompts()):
        assert len(row["token_ids"]) <= 6
        assert (
            row["finish_reason"] == ("length" if len(row["token_ids"]) == 6 else "stop") or len(row["token_ids"]) == 6
        )


def test_evaluation_asks_every_policy_with_the_same_seeds(folder: Path) -> None:
    chosen = settings("fake")
    fake = make_engine(chosen.generate, chosen.model, folder)
    template = ChatTemplate(load_tokenizer(folder))
    first, second = (
        sample_evaluation(prompts(), fake, template, chosen, run="r", policy_version=version) for version in (0, 3)
    )
    assert [row["seed"] for row in first] == [row["seed"] for row in second]
    assert {row["round"] for row in second} == {3}
    assert {row["seed"] for row in first}.isdisjoint({row["seed"] for row in rollouts(fake, folder, prompts())})


def test_fake_engine_gives_the_probability_of_its_choice(folder: Path) -> None:
    chosen = settings("fake")
    fake = make_engine(chosen.generate, chosen.model, folder)
    ids = tuple(load_tokenizer(folder).encode("27 or 40?", add_special_tokens=False))
    sampling = Sampling.of(GenerateSettings(max_tokens=64))
    samples = fake.generate([Request(ids, seed, sampling) for seed in range(20)])
    assert {round(float(np.exp(sample.logprobs.sum())), 6) for sample in samples} == {0.5}


def test_a_prompt_over_the_bound_is_refused_by_name(engine: Any, folder: Path) -> None:
    long = [{"prompt_id": "long-one", "messages": [{"role": "user", "content": "x " * 5000}]}]
    with pytest.raises(InputError, match=r"prompt long-one: .* more than generate.max_prompt_tokens \(2048\)"):
        rollouts(engine, folder, long)
