"""Peak memory of one optimizer step, phase by phase and setting by setting, on random weights of a real shape.

    python benchmarks/training_step_memory.py --shape smollm2-135m --out FILE.json
    python benchmarks/training_step_memory.py --shape qwen2.5-0.5b --settings default --out FILE.json

Each setting is trained in a process of its own, whose peak resident memory is read after each phase: loading, the
passes of an update (with the moments of an earlier one there, and more than one micro-batch), the step of optimizer and
teacher, saving. Ratios are to the setting named first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results_file import add_result

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "max_position_embeddings": 8192}
QWEN = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "max_position_embeddings": 32768}
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": LLAMA | {"vocab_size": 259, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
                     "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False},
    "smollm2-135m": LLAMA | {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
                             "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
                             "tie_word_embeddings": True},
    "qwen2.5-0.5b": QWEN | {"vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
                            "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
                            "tie_word_embeddings": True},
}  # fmt: skip
SHAPES["qwen2.5-0.5b-untied"] = SHAPES["qwen2.5-0.5b"] | {"tie_word_embeddings": False}
HOST = {"train.teacher": {"kind": "ema", "place": "host"}}
SETTINGS: dict[str, dict[str, Any]] = {
    "all in memory": {"train.gradient_checkpointing": "off", **HOST},
    "teacher on the disk": {"train.gradient_checkpointing": "off"},
    "default": {},
    "checkpointing": {"train.gradient_checkpointing": "on"},
    "bfloat16 weights": {"train.gradient_checkpointing": "on", "train.master_weights": "bfloat16"},
    "8-bit moments": {"train.gradient_checkpointing": "on", "train.optimizer": "adamw_8bit"},
    "both": {
        "train.gradient_checkpointing": "on",
        "train.master_weights": "bfloat16",
        "train.optimizer": "adamw_8bit",
    },
    "lora": {"train.gradient_checkpointing": "on", "train.lora": {"rank": 16}},
    "lora, bfloat16 base": {
        "train.gradient_checkpointing": "on",
        "train.lora": {"rank": 16},
        "train.master_weights": "bfloat16",
    },
}
SAMPLES, PROMPT_TOKENS, TOP_K = 8, 100, 100
PHASES = ("load", "passes", "move", "save")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="smollm2-135m")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--prompts", type=int, default=3, help="of the update")
    parser.add_argument("--tokens", type=int, default=220, help="of a rollout")
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    parser.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        print(json.dumps(train_apart(Path(options.train[0]), options.train[1], options)))
        return
    with tempfile.TemporaryDirectory(prefix="mopd-step-memory-") as folder:
        make_model(Path(folder) / "model", SHAPES[options.shape])
        results: list[dict[str, Any]] = []
        for name in options.settings:
            results.append(measure(Path(folder), name, options))
            results[-1]["ratio"] = round(results[-1]["peak_mb"] / results[0]["peak_mb"], 3)
            print("  ".join(f"{part} {value}" for part, value in results[-1].items()), flush=True)
    if options.out:
        add_result(options.out, results, shape=options.shape)


def make_model(folder: Path, config: dict[str, Any]) -> None:
    """Random weights, without ever being in memory twice."""
    code = (
        "import json, sys, torch; from transformers import AutoConfig, AutoModelForCausalLM\n"
        "config = json.loads(sys.argv[2]); torch.manual_seed(0)\n"
        "config = AutoConfig.for_model(config.pop('model_type'), **config)\n"
        "AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(folder), json.dumps(config)], check=True)


def measure(folder: Path, name: str, options: Any) -> dict[str, Any]:
    """Train in a process of its own."""
    command = [sys.executable, __file__, "--train", str(folder / "model"), name, "--precision", options.precision]
    command += ["--prompts", str(options.prompts), "--tokens", str(options.tokens)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path_of_code()})
    if done.returncode:
        sys.exit(f"{name}: ended with {done.returncode}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def path_of_code() -> str:
    import mopd

    return os.pathsep.join([str(Path(mopd.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


def train_apart(model: Path, name: str, options: Any) -> dict[str, Any]:
    """The peaks of this process, in MB: of a step after a small one, as training takes it, and of saving."""
    import torch

    from mopd.settings import parse_settings
    from mopd.settings.tree import set_value
    from mopd.train import take_step
    from mopd.trainer.gradient_checkpointing import set_checkpointing
    from mopd.trainer.state import open_state, save_state

    tree: dict[str, Any] = {"model": {"path": str(model), "precision": options.precision}}
    for dotted, value in SETTINGS[name].items():
        set_value(tree, dotted, value, source=name)
    settings, device = parse_settings(tree), torch.device("cpu")
    peaks: dict[str, float] = {"start": restart_peak()}
    began = time.monotonic()
    out = model.parent / name.replace(" ", "-")
    state = open_state(*(model, None, settings.train, device), base_folder=model, precision=options.precision, out=out)
    checkpointing = set_checkpointing(state.student, settings, device)
    take_step(state, score_rows(2, 1, 8), settings, device)
    peaks["load"] = restart_peak()
    step = state.optimizer.step

    def noted(*arguments: Any) -> None:
        peaks["passes"] = restart_peak()
        step(*arguments)

    state.optimizer.step = noted  # type: ignore[method-assign, assignment]
    report = take_step(state, score_rows(SAMPLES, options.prompts, options.tokens), settings, device)
    assert report["skipped"] is None, report
    peaks["move"] = restart_peak()
    save_state(state, model, out)
    peaks["save"] = restart_peak()
    seconds = round(time.monotonic() - began, 1)
    mb = {f"{phase}_mb": round(peaks[phase] / 1e6) for phase in ("start", *PHASES)}
    peak = {"peak_mb": max(mb[f"{phase}_mb"] for phase in PHASES)}
    return {"settings": name, **peak, **mb, "checkpointing": checkpointing, "seconds": seconds, "loss": report["loss"]}


def score_rows(samples: int, prompts: int, tokens: int) -> list[dict[str, Any]]:
    """Rows of scores with random numbers."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(prompts * samples):
        prompt = np.random.default_rng(number // samples).integers(3, 250, PROMPT_TOKENS)
        logps_TK = -6 - rng.random((tokens, TOP_K), dtype=np.float32)
        rows.append(
            {"prompt_id": f"p{number // samples}", "sample": number % samples, "prompt_token_ids": prompt}
            | {"token_ids": rng.integers(3, 250, tokens), "temperature": 1.0, "distill": True, "advantage": 0.0}
            | {"behavior_logprobs": np.full(tokens, -9.0, np.float32), "support_teacher_logprobs": logps_TK}
            | {"support_ids": rng.integers(0, 100, (tokens, 1), dtype=np.int32) + np.arange(TOP_K, dtype=np.int32)}
        )
    return rows


def restart_peak() -> float:
    """Largest resident memory in bytes since it was last asked for, as the kernel has it."""
    status = Path("/proc/self/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    Path("/proc/self/clear_refs").write_text("5")
    return peak


if __name__ == "__main__":
    main()
