"""vLLM samples from a base and the adapter on it, and says the log-probabilities that our own forward pass gives."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mopd.engines import Request, Sample, Sampling, make_engine
from mopd.models.folders import load_model, load_tokenizer, resolve_model
from mopd.models.lora import load_student, save_model
from mopd.reading.forward import branches, hidden_states, make_batch, plan_batches
from mopd.reading.head import token_logps
from mopd.settings import GenerateSettings, Settings, parse_settings
from mopd.settings.lora import LoraSettings

LOGPROB_TOLERANCE = 1e-3
"""Between vLLM's kernels and torch's, both in fp32; what is measured is some 1e-5."""
QUESTIONS = ("Which is larger, 27 or 40?", "Name three colours.")
RANK = 12  # vLLM rounds it up
FAR = 0.1
"""The adapter moves log-probabilities by more than this on the average, so the base's own would not pass."""


def settings() -> Settings:
    generate = {"temperature": 0.8, "max_tokens": 16, "max_prompt_tokens": 64, "max_num_seqs": 16}
    return parse_settings({"model": {"precision": "float32"}, "generate": generate})


def sample(base: Path, policy: Path, requests: list[Request]) -> list[Sample]:
    """In a process of its own: vLLM leaves its settings behind in the one that it runs in."""
    chosen = settings()
    engine = make_engine(chosen.generate, chosen.model, policy, base=base)
    return engine.generate(requests)


@pytest.fixture(scope="module")
def base() -> Path:
    return resolve_model("embedded:smollm2-135m-instruct")


@pytest.fixture(scope="module")
def policy(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy as training leaves it, its adapter far from zero."""
    folder = tmp_path_factory.mktemp("policy")
    lora = LoraSettings(rank=RANK, alpha=2 * RANK)
    student = load_student(base, base, lora, device=torch.device("cpu"), seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(0.0, 0.03, generator=generator)
    save_model(student, folder)
    return folder


def logps_of(model: Any, requests: list[Request], samples: list[Sample]) -> dict[int, np.ndarray]:
    """By the forward pass of scoring and training."""
    items = branches(
        [np.asarray(request.prompt_token_ids) for request in requests], [sample.token_ids for sample in samples]
    )
    out = {}
    for trees in plan_batches(items, max_tokens=1024):
        batch = make_batch(trees)
        with torch.no_grad():
            logps = token_logps(model, hidden_states(model, batch), batch.targets, temperature=0.8, chunk=512, top_k=1)
        parts = logps.sampled_N.split([length for _, length in batch.rows])
        out |= {row: part.numpy() for (row, _), part in zip(batch.rows, parts, strict=True)}
    return out


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("one_engine")
def test_vllm_samples_from_the_adapter(base: Path, policy: Path) -> None:
    tokenizer = load_tokenizer(base)
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False
        )
        for text in QUESTIONS
    ]
    sampling = Sampling.of(GenerateSettings(temperature=0.8, max_tokens=16))
    requests = [Request(tuple(ids), seed, sampling) for ids in prompts for seed in range(4)]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        samples = pool.apply(sample, (base, policy, requests))
    said = np.concatenate([sample.logprobs for sample in samples])

    def ours(model: Any) -> np.ndarray:
        found = logps_of(model, requests, samples)
        return np.concatenate([found[row] for row in range(len(samples))])

    adapted = load_student(policy, base, LoraSettings(rank=RANK, alpha=2 * RANK), device=torch.device("cpu"), seed=1)
    for model in (adapted, load_model(policy)):  # the adapter beside the base, and merged into it
        assert np.abs(said - ours(model)).max() < LOGPROB_TOLERANCE
    assert np.abs(said - ours(load_model(base))).mean() > FAR
