"""An engine of several devices: vLLM's own processes, here on a set of cores each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.runtime.messages import Report
from flows.runtime.places.pool import ReplicaPool
from flows.runtime.places.this_host import ThisHost
from flows.runtime.worker import WorkerDied
from mopd.settings import Settings, parse_settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has no two sets"),
]


def write_model(folder: Path) -> None:
    """A random Llama whose heads vLLM can read and divide in two."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from mopd.models.embedded import tiny_llama
    from mopd.models.embedded.saving import save_model

    tokenizer = tiny_llama._byte_tokenizer()
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2}
    torch.manual_seed(0)
    vocabulary = len(tokenizer) + len(tokenizer) % 2
    config = LlamaConfig(vocab_size=vocabulary, num_hidden_layers=2, max_position_embeddings=512, **sizes)
    save_model(LlamaForCausalLM(config), tokenizer, folder)


def load(settings: Settings) -> Any:
    from mopd.engines import make_engine

    return make_engine(settings.generate, settings.model, Path(settings.model.path))


def generate(engine: Any, report: Report, settings: Settings) -> list[int]:
    """How long four replies are. Says before which processes its engine has."""
    from mopd.engines import Request, Sampling

    report({"pids": [child.pid for child in psutil.Process().children()]})
    sampling = Sampling.of(settings.generate)
    return [
        len(sample.token_ids) for sample in engine.generate([Request((5, 6, 7), seed, sampling) for seed in range(4)])
    ]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_model(tmp_path / "model")
    engine = {"engine": "vllm", "max_tokens": 8, "max_prompt_tokens": 16}
    return parse_settings(
        {
            "model": {"path": str(tmp_path / "model"), "precision": "float32"},
            "place": {"devices": 2},
            "generate": {**engine, "engine_arguments": {"tensor_parallel_size": 2}},
        }
    )


@pytest.fixture
def pool(settings: Settings, tmp_path: Path) -> Iterator[ReplicaPool]:
    pool = ThisHost(settings, tmp_path / "logs").pool("engine of policy 0", load, settings, devices=2)
    assert (pool.size, pool.devices) == (1, 2)
    yield pool
    pool.kill()


def test_it_samples_and_the_death_of_one_of_its_processes_is_that_of_its_worker(
    pool: ReplicaPool, settings: Settings
) -> None:
    pids: list[int] = []
    lengths = pool.run(generate, settings, report=lambda report: pids.extend(report.get("pids", [])))
    assert all(0 < length <= 8 for length in lengths)
    psutil.Process(max(pids)).kill()  # the last that it started
    time.sleep(2)
    with pytest.raises(WorkerDied, match=r"its engine is dead.*engine-0\.log"):
        pool.run(generate, settings)
    assert len(pool.run(generate, settings)) == 4
