"""An engine that took another policy samples what one that was started with it does, bit for bit."""

from __future__ import annotations

import multiprocessing
from functools import partial
from pathlib import Path

import pytest
import torch

from mopd.engines import Request, Sample, Sampling, make_engine
from mopd.models.folders import load_tokenizer
from mopd.models.lora import load_student, save_model
from mopd.settings import Settings, parse_settings
from tests.mopd.engines.sampling_reference import write_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Replies = list[tuple[list[int], list[float]]]


def settings_of(precision: str, **generate: object) -> Settings:
    sizes = {"max_tokens": 12, "max_prompt_tokens": 64, "max_num_seqs": 8}
    return parse_settings({"model": {"path": "tiny:llama", "precision": precision}, "generate": {**sizes, **generate}})


def sample(settings: Settings, folders: list[Path], base: Path | None = None) -> list[Replies]:
    """Of an engine that is started with the first folder and then takes the others, one after another."""
    engine = make_engine(settings.generate, settings.model, folders[0], base=base)
    replies = []
    for number, folder in enumerate(folders):
        assert not number or engine.reload(folder)
        replies.append([plain(one) for one in engine.generate(requests(settings, base or folder))])
    return replies


def requests(settings: Settings, folder: Path) -> list[Request]:
    prompt = tuple(load_tokenizer(folder).encode("Which is larger, 27 or 40?", add_special_tokens=False))
    return [Request(prompt, seed, Sampling.of(settings.generate)) for seed in range(8)]


def plain(sample: Sample) -> tuple[list[int], list[float]]:
    return sample.token_ids.tolist(), sample.logprobs.tolist()


def in_process(job: partial[list[Replies]]) -> list[Replies]:
    """vLLM has a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(job)


@pytest.mark.parametrize(("tied", "precision"), [(True, "float32"), (False, "float32"), (True, "bfloat16")])
def test_other_weights(tied: bool, precision: str, tmp_path: Path) -> None:
    first, second = (write_model(tmp_path / f"policy-{seed}", seed=seed, tied=tied) for seed in (0, 1))
    settings = settings_of(precision)
    of_first, of_second, again = in_process(partial(sample, settings, [first, second, first]))
    assert in_process(partial(sample, settings, [second])) == [of_second]
    assert of_first == again != of_second


def test_another_adapter(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    first, second = (write_adapter(tmp_path / f"policy-{seed}", base, seed) for seed in (0, 1))
    settings = settings_of("float32")
    of_first, of_second = in_process(partial(sample, settings, [first, second], base))
    assert in_process(partial(sample, settings, [second], base)) == [of_second]
    assert of_first != of_second


def write_adapter(folder: Path, base: Path, seed: int) -> Path:
    """An adapter that changes much."""
    lora = parse_settings({"train": {"lora": {"rank": 8}}}).train.lora
    student = load_student(base, base, lora, device=torch.device("cpu"), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in student.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator)
    save_model(student, folder)
    load_tokenizer(base).save_pretrained(folder)
    return folder


def test_arguments_of_the_user_are_for_an_engine_that_is_started(tmp_path: Path) -> None:
    first, second = (write_model(tmp_path / f"policy-{seed}", seed=seed) for seed in (0, 1))
    settings = settings_of("float32", engine_arguments={"enable_prefix_caching": False})
    with pytest.raises(AssertionError):
        in_process(partial(sample, settings, [first, second]))
