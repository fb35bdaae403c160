"""The real thing at its smallest useful size: vLLM samples SmolLM2, torch scores and trains it, Prefect runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mopd.models.folders import load_tokenizer, resolve_model
from storage.runs import RunFolder
from storage.shards import manifests, read_rows
from storage.sql.catalog import query
from tests.e2e.harness import ROOT, Prefect

DEMO = ROOT / "examples" / "demo.yaml"
SMALL = {
    "rounds": 1,
    "prompts_per_shard": 2,
    "tasks.num_train": 4,
    "tasks.num_heldout": 2,
    "generate.num_prompts": 4,
    "generate.num_samples": 4,
    "evaluate.num_samples": 2,
    "train.updates_per_round": 1,
    "train.warmup_steps": 0,
}
LOGPROB_TOLERANCE = 1e-3
"""Between vLLM's kernels and torch's, both in fp32; what is measured is some 1e-5."""


@pytest.fixture(scope="module")
def run(prefect: Prefect, one_engine: None, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = tmp_path_factory.mktemp("real") / "run"
    overrides = [text for name, value in SMALL.items() for text in ("--set", f"{name}={value}")]
    done = prefect.own_mopd("run", DEMO, "--run", path, *overrides, "--set", "model.precision=float32", seconds=600)
    assert done.returncode == 0, done.stdout + done.stderr + (path / "logs" / "engine-0.log").read_text()[-4000:]
    return RunFolder.open(path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_vllm_gives_the_logprobs_of_the_distribution_it_sampled_from(run: RunFolder) -> None:
    """At temperature 0.8, so raw log-probabilities would be far off."""
    worst = query(
        run,
        "SELECT max(list_max([abs(behavior_logprobs[t] - proximal_logprobs[t]) FOR t IN range(1, num_tokens + 1)])) "
        "FROM episodes WHERE num_tokens > 0",
    ).rows[0][0]
    assert worst < LOGPROB_TOLERANCE


@pytest.mark.slow
def test_token_ids_are_the_prompts_and_the_replies(run: RunFolder) -> None:
    tokenizer = load_tokenizer(resolve_model(run.document["settings"]["model"]["path"]))
    rows = query(run, "SELECT prompt, prompt_token_ids, token_ids, text, finish_reason FROM episodes").rows
    assert len(rows) == 16
    for prompt, prompt_ids, ids, text, finish_reason in rows:
        assert f"user\n{prompt}" in tokenizer.decode(prompt_ids)
        assert tokenizer.decode(prompt_ids).endswith("<|im_start|>assistant\n")
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
        assert (ids[-1] == tokenizer.eos_token_id) == (finish_reason == "stop")


@pytest.mark.slow
def test_the_policy_was_trained_and_judged(run: RunFolder) -> None:
    (update,) = [row for one in manifests(run, "updates") for row in read_rows(run, one)]
    if update["loss"] is not None:  # sixteen rollouts may hold no success at all
        assert update["grad_norm"] > 0
        assert 0.5 < update["importance_mean"] < 2
    assert query(run, "SELECT DISTINCT policy_version FROM evaluations ORDER BY 1").rows == [(0,), (1,)]


@pytest.mark.slow
def test_the_exported_policy_opens_as_it_is(run: RunFolder, prefect: Prefect, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    done = prefect.mopd("export", run.path, "--round", "0", tmp_path / "policy")
    assert done.returncode == 0, done.stderr
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "policy").num_parameters() == 134_515_008
