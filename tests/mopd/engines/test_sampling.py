"""Sampling settings: what is drawn from, its log-probabilities, and where replies end; the same in both engines."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mopd.engines import Request, Sample, Sampling, make_engine
from mopd.engines.distribution import sampling_logps
from mopd.engines.stops import StopStrings, check_stops, reply_text
from mopd.errors import InputError
from mopd.models.chat_template import ChatTemplate
from mopd.models.folders import load_model, load_tokenizer
from mopd.settings import GenerateSettings, parse_settings
from tests.mopd.engines.sampling_reference import CASES, probabilities, sample_all, settings_of, write_model

TOLERANCE = 1e-3
"""Between float32 and float64 logits, over the temperature."""
ENGINES = ["transformers", pytest.param("vllm", marks=[pytest.mark.slow, pytest.mark.timeout(300)])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def prompt(folder: Path) -> tuple[int, ...]:
    return tuple(load_tokenizer(folder).encode("Which is larger, 27 or 40?", add_special_tokens=False))


def run_engine(engine: str, job: Any) -> Any:
    """vLLM has a process of its own."""
    if engine != "vllm":
        return job()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(job)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_distribution_is_that_of_an_independent_computation(case: dict[str, Any]) -> None:
    sampling = Sampling.of(GenerateSettings(temperature=0.8, **case))
    generator = torch.Generator().manual_seed(1)
    logits_BV = torch.randn(6, 40, generator=generator, dtype=torch.float64) * 2
    ids_BL = torch.randint(40, (6, 7), generator=generator)
    logps_BV = sampling_logps(logits_BV, ids_BL, sampling, num_prompt=3)
    for row in range(6):
        expected = probabilities(logits_BV[row].tolist(), ids_BL[row, :3].tolist(), ids_BL[row, 3:].tolist(), sampling)
        drawn = {token: p for token, p in enumerate(logps_BV[row].exp().tolist()) if p > 0}
        assert drawn == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_logprobs_are_those_of_what_was_sampled_from(engine: str, folder: Path, prompt: tuple[int, ...]) -> None:
    """Every token of every rollout: it could be drawn, and comes with its renormalized log-probability."""
    samplings = [Sampling.of(settings_of(engine, case).generate) for case in CASES.values()]
    sampled = run_engine(engine, partial(sample_all, folder, settings_of(engine, {}), samplings, prompt))
    model = load_model(folder, "cpu").double()
    for sampling, samples in zip(samplings, sampled, strict=True):
        for sample in samples:
            expected = _expected_logps(model, prompt, sample, sampling)
            np.testing.assert_allclose(sample.logprobs, expected, atol=TOLERANCE)
    mean = [float(np.mean(np.concatenate([sample.logprobs for sample in samples]))) for samples in sampled]
    assert len({round(value, 2) for value in mean}) == len(mean)  # no setting is without effect here


def _expected_logps(model: Any, prompt: tuple[int, ...], sample: Sample, sampling: Sampling) -> list[float]:
    reply = sample.token_ids.tolist()
    with torch.no_grad():
        logits_TV = model(torch.tensor([[*prompt, *reply]])).logits[0, len(prompt) - 1 : -1]
    steps = [probabilities(logits_TV[t].tolist(), prompt, reply[:t], sampling) for t in range(len(reply))]
    return [np.log(step[token]) for step, token in zip(steps, reply, strict=True)]


@pytest.mark.parametrize("engine", ENGINES)
def test_replies_end_where_they_are_asked_to(engine: str, folder: Path, prompt: tuple[int, ...]) -> None:
    """Greedy, so that both engines say the same: whole, then cut at a text of it, then at a token of it."""
    arguments = {"engine_arguments": {"enable_prefix_caching": False}} if engine == "vllm" else {}
    tokenizer, chosen = load_tokenizer(folder), settings_of(engine, {"repetition_penalty": 1.2, **arguments})
    greedy = chosen.generate.model_copy(update={"temperature": 0.0})
    whole = sample_all(folder, settings_of("transformers", {}), [Sampling.of(greedy)], prompt)[0][0]
    ids = whole.token_ids.tolist()
    place = next(place for place in range(2, len(ids)) if ids.index(ids[place]) == place)
    text, stop = (tokenizer.decode(ids[first : place + 1], skip_special_tokens=True) for first in (0, place - 1))
    changes: list[dict[str, Any]] = [{}, {"stop": (stop, "Z")}, {"stop_token_ids": (ids[place],)}, {"max_tokens": 2}]
    samplings = [Sampling.of(greedy.model_copy(update=change)) for change in changes]
    sampled = run_engine(engine, partial(sample_all, folder, chosen, samplings, prompt))
    uncut, at_string, at_token, at_length = (samples[0] for samples in sampled)
    assert uncut.token_ids.tolist() == ids
    assert uncut.logprobs.tolist() == [0.0] * len(ids)
    assert (at_string.token_ids.tolist(), at_string.finish_reason) == (ids[: place + 1], f"stop_string:{stop}")
    assert (at_token.token_ids.tolist(), at_token.finish_reason) == (ids[: place + 1], f"stop_token:{ids[place]}")
    assert (at_length.token_ids.tolist(), at_length.finish_reason) == (ids[:2], "length")
    decode = ChatTemplate(tokenizer).reply
    assert reply_text(decode, at_string) == text[: text.index(stop)]
    assert reply_text(decode, at_token) == tokenizer.decode(ids[:place], skip_special_tokens=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_reply_ends_with_what_model_or_tokenizer_end_it_with(
    engine: str, folder: Path, prompt: tuple[int, ...], tmp_path: Path
) -> None:
    """The fourth greedy token is the tokenizer's end of a text, the third the model's in one of two copies."""
    chosen = settings_of(engine, {"repetition_penalty": 1.2})
    sampling = Sampling.of(chosen.generate.model_copy(update={"temperature": 0.0}))
    ids = sample_all(folder, settings_of("transformers", {}), [sampling], prompt)[0][0].token_ids.tolist()
    assert ids[3] not in ids[:3] and ids[2] not in ids[:2]
    for length, end in ((4, 258), (3, ids[2])):
        copied = Path(shutil.copytree(folder, tmp_path / str(length)))
        (copied / "generation_config.json").write_text(json.dumps({"eos_token_id": [end]}))
        tokenizer = load_tokenizer(copied)
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ids[3])
        tokenizer.save_pretrained(copied)
        sample = run_engine(engine, partial(sample_all, copied, chosen, [sampling], prompt))[0][0]
        assert (sample.token_ids.tolist(), sample.finish_reason) == (ids[:length], "stop")


def test_the_fake_stops_too(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    chosen = settings_of("fake", {"stop": " is", "max_tokens": 64})
    ids = tuple(tokenizer.encode("27 or 40?", add_special_tokens=False))
    fake = make_engine(chosen.generate, chosen.model, folder)
    (stopped,) = fake.generate([Request(ids, 0, Sampling.of(chosen.generate))])
    assert stopped.finish_reason == "stop_string: is"
    assert reply_text(ChatTemplate(tokenizer).reply, stopped) == "The answer"
    (whole,) = fake.generate([Request(ids, 0, Sampling.of(settings_of("fake", {"max_tokens": 64}).generate))])
    assert whole.finish_reason == "stop"
    assert stopped.token_ids.tolist() == whole.token_ids.tolist()[: len(stopped.token_ids)]


def test_of_two_stops_that_which_ends_first_counts(folder: Path) -> None:
    """Across tokens, whatever was said before, the prompt's own text left out."""
    tokenizer = load_tokenizer(folder)
    reply = tokenizer.encode("one two three", add_special_tokens=False)
    watch = StopStrings(tokenizer, tokenizer.encode("o th", add_special_tokens=False), ["o three", "o th", "e t"])
    hits = [watch.add(token) for token in reply]
    assert next(hit for hit in hits if hit) == "e t"
    late = StopStrings(tokenizer, [], ["o three", "o th"])
    assert next(hit for token in reply if (hit := late.add(token))) == "o th"


def test_stops_that_can_never_end_a_reply_are_refused(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    special = tokenizer.eos_token
    with pytest.raises(InputError, match=rf"generate.stop: .* special token, .* give {tokenizer.eos_token_id} in gen"):
        check_stops([special], [], tokenizer, setting="generate")
    with pytest.raises(InputError, match=r"evaluate.stop_token_ids: 999999 is no token of the model"):
        check_stops([], [999_999], tokenizer, setting="evaluate")


def test_evaluation_samples_by_settings_of_its_own() -> None:
    chosen = parse_settings(
        {
            "generate": {"temperature": 0.9, "top_p": 0.8, "stop": "\n", "max_tokens": 50},
            "evaluate": {"temperature": 0, "top_k": 3, "stop": [], "max_tokens": 99, "num_samples": 1},
        }
    )
    sampling = Sampling.of(chosen.evaluation_sampling)
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens) == (0.0, 0.8, 3, 99)
    assert (sampling.stop, chosen.evaluation_sampling.num_samples) == ((), 1)
    assert Sampling.of(chosen.generate).stop == ("\n",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gpu_memory_utilisation": 0.5}, r"no argument gpu_memory_utilisation; did you mean gpu_memory_utilization\?"),
        ({"max_num_batched_tokens": -1}, "vLLM does not start with {'max_num_batched_tokens': -1}"),
    ],
)
def test_arguments_that_the_engine_can_not_take(folder: Path, arguments: dict[str, Any], message: str) -> None:
    chosen = settings_of("vllm", {}, engine_arguments=arguments)
    with pytest.raises(InputError, match=message):
        run_engine("vllm", partial(sample_all, folder, chosen, [], ()))
