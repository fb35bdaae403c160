"""Memory of scoring with linear layers in the precision that they compute in, beside float32 weights under autocast.

    python benchmarks/scoring_memory.py --model embedded:smollm2-135m-instruct --out FILE.json

A student and a teacher of its shape score the same shard, in a process for each way; `start` is the process without a
model, `load` the peak while both are loaded, `loaded` what is resident then, `read` the peak of scoring. The numbers
must be equal, bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results_file import add_result
from training_step_memory import path_of_code, restart_peak

WAYS = ("float32", "narrow")
PROMPTS, SAMPLES, PROMPT_TOKENS, CONTEXT_TOKENS = 2, 4, 50, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded:smollm2-135m-instruct")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--tokens", type=int, default=64, help="of a rollout")
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    parser.add_argument("--score", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.score:
        print(json.dumps(score_apart(options.score[0], Path(options.score[1]), options)))
        return
    results = compare(options)
    for row in results:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    assert results[0]["sha256"] == results[1]["sha256"], "the numbers differ"
    if options.out:
        add_result(options.out, results)


def compare(options: Any) -> list[dict[str, Any]]:
    """Both ways, the teacher being a copy of the model in another folder."""
    from mopd.models.folders import resolve_model

    model = resolve_model(options.model)
    with tempfile.TemporaryDirectory(prefix="mopd-scoring-memory-") as folder:
        shutil.copytree(model, Path(folder) / "teacher")
        results = []
        for way in WAYS:
            command = [sys.executable, __file__, "--score", way, folder, "--model", str(model)]
            command += ["--precision", options.precision, "--tokens", str(options.tokens)]
            environment = {**os.environ, "PYTHONPATH": path_of_code()}
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
    return results


def score_apart(way: str, folder: Path, options: Any) -> dict[str, Any]:
    """The peaks of this process, in MB, and what it found."""
    import torch

    import mopd.score
    from mopd.models.folders import load_model
    from mopd.settings import parse_settings

    if way == "float32":
        mopd.score.load_reader = lambda path, device, precision: load_model(path, device)  # type: ignore[assignment]
    teacher = {"kind": "external", "path": str(folder / "teacher")}
    settings = parse_settings(
        {"model": {"path": options.model, "precision": options.precision}, "train": {"teacher": teacher}}
    )
    peaks, began = {"start": restart_peak()}, time.monotonic()
    scorer = mopd.score.Scorer(settings, policy_folder=Path(options.model), device=torch.device("cpu"))
    scorer.models.get(folder / "teacher")
    peaks["load"] = restart_peak()
    peaks["loaded"] = resident()
    rows = scorer.score(*shard(options.tokens), policy_version=0)
    peaks["read"] = restart_peak()
    digest = hashlib.sha256()
    for row in rows:
        for name in ("proximal_logprobs", "teacher_logprobs", "support_ids", "support_teacher_logprobs"):
            digest.update(np.ascontiguousarray(row[name]).tobytes())
    mb = {f"{phase}_mb": round(peak / 1e6) for phase, peak in peaks.items()}
    seconds = round(time.monotonic() - began, 1)
    return {"weights": way, **mb, "seconds": seconds, "sha256": digest.hexdigest()[:16]}


def resident() -> float:
    """Memory of this process that is resident now, in bytes; the kernel counts mapped files too."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def shard(tokens: int) -> tuple[list[dict[str, Any]], ...]:
    """Rollouts, verdicts and contexts with random tokens."""
    rng = np.random.default_rng(0)
    keys = [
        {"run": "r", "round": 0, "prompt_id": f"p{prompt}", "sample": sample}
        for prompt in range(PROMPTS)
        for sample in range(SAMPLES)
    ]
    prompts = rng.integers(3, 250, (PROMPTS, PROMPT_TOKENS))
    rollouts = [
        key
        | {"prompt_token_ids": prompts[int(key["prompt_id"][1:])], "temperature": 1.0}
        | {"token_ids": rng.integers(3, 250, tokens), "behavior_logprobs": np.full(tokens, -9.0, np.float32)}
        for key in keys
    ]
    verdicts = [key | {"reward": float(key["sample"] % 2)} for key in keys]
    shown = {"has_sections": True, "variant": "success", "context_digest": ""}
    contexts = [key | shown | {"context_token_ids": rng.integers(3, 250, CONTEXT_TOKENS)} for key in keys]
    return rollouts, verdicts, contexts


if __name__ == "__main__":
    main()
