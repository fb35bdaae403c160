"""One round of mopd beside one of TRL's SDPOTrainer: wall time and peak memory, each a command of its own, in turn.

    python benchmarks/against_trl.py --tokens 64 --repeats 2 --out benchmarks/results/against_trl.json

Equal are: model, prompts and their order, rollouts, longest reply, temperature, verdict, bfloat16 passes over float32
weights, top-k support with a bucket for the rest, divergence, importance weights by the trainer's own passes and their
clip, means over sequences, prompts an update and updates, AdamW's settings, an EMA teacher. What differs is in DIFFERS.

Seconds: `wall` of the command as a user starts it; `round` without what comes before and after it, for mopd from when
its first shard is begun until its last one is there (models that are loaded meanwhile are in it), for TRL from
`on_train_begin` to `on_train_end` (both models are loaded before). `peak_gb` is of all processes together, see
`process_tree.py`; with mopd that is workers and its Prefect server too. Medians, with the least and the most.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from between import changes, timeline
from process_tree import Measured, run_measured
from results_file import add_result

from flows.plan.stage import STAGES
from storage.lookup import manifests
from storage.runs import RunFolder
from storage.sql.catalog import query

ROOT = Path(__file__).parents[1]
CONFIG = Path("examples") / "demo.yaml"
ROUND = {
    "rounds": 1,
    "condition.variant": "success",
    "condition.rendering": "sections",
    "train.importance": "recomputed",
    "train.aggregation": "sequence_mean",
    "evaluate.when": "never",
    "signals.control_groups": 0,
}
"""What differs from the demo, beside sizes; TRL measures neither held-out prompts nor controls."""
DIFFERS = (
    "mopd samples with vLLM, TRL with transformers' generate",
    "mopd's teacher is read once, before the updates, TRL's before each, moved by the one before",
    "mopd keeps all of the round in files, policy, optimizer and teacher too, and leaves its page; TRL keeps nothing",
    "TRL's optimizer is torch's fused AdamW, its default; its learning rate is 0 in the first update of a warm-up",
    "the words around the peer's reply, and each side's own random numbers",
)
SIDES = {"mopd": [], "mopd, keep_resident=never": ["place.keep_resident=never"]}
"""What `mopd run` is given beside what is equal."""
MEASURES = ("wall", "round", "peak_gb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rows-per-pass", type=int, default=8, help="rollouts of TRL's micro-batches")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    overrides = overrides_of(options)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in (*SIDES, "trl")}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            place = Path(folder) / str(repeat)
            place.mkdir()
            for name in runs:
                run = run_mopd(name, overrides, place) if name in SIDES else run_trl(overrides, place, options)
                print(name, run, flush=True)
                runs[name].append(run)
    results = [{"side": name, **summarize(measured)} for name, measured in runs.items()]
    ratios = {result["side"]: ratios_of(result, results[-1]) for result in results[:-1]}
    print("over TRL:", ratios)
    if options.out is not None:
        sizes = {name: getattr(options, name) for name in ("prompts", "samples", "tokens")}
        add_result(options.out, results, **sizes, load=round(load, 1), ratios=ratios, equal=overrides, differs=DIFFERS)


def overrides_of(options: argparse.Namespace) -> list[str]:
    """The round's settings, as words behind `--set`."""
    sizes = {
        "generate.num_prompts": options.prompts,
        "generate.num_samples": options.samples,
        "generate.max_tokens": options.tokens,
        "prompts_per_shard": max(1, options.prompts // 2),
    }
    return [f"{name}={value}" for name, value in {**ROUND, **sizes}.items()]


def run_mopd(name: str, overrides: list[str], place: Path) -> dict[str, Any]:
    """`mopd run` in a new folder."""
    run = place / name
    words = changes([*overrides, *SIDES[name]])
    command = [sys.executable, "-m", "flows.cli", "run", str(CONFIG), "--run", str(run), *words]
    measured = run_measured(command, ROOT, place / f"{name}.log")
    folder = RunFolder.open(run)
    parts = timeline(folder, measured.began, measured.ended).parts
    updates = query(folder, "SELECT count(*) FROM updates").rows[0][0]
    tokens, distilled = query(folder, "SELECT avg(len(token_ids)), avg(distill::int) FROM scores").rows[0]
    return {
        **costs(measured, parts["work"] + parts["between"]),
        **{part: round(parts[part], 1) for part in ("start", "work", "between", "end")},
        **{STAGES[table].name: stage_seconds(folder, table) for table in ("rollouts", "scores", "policies")},
        "updates": updates,
        "tokens a reply": round(tokens, 1),
        "shown a success": round(distilled, 3),
    }


def stage_seconds(folder: RunFolder, table: str) -> float:
    """What a table's shards took to make, one after the other."""
    return round(sum(manifest.info.get("seconds") or 0 for manifest in manifests(folder, table)), 1)


def run_trl(overrides: list[str], place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """`trl_round.py`."""
    out = place / "trl.json"
    command = [sys.executable, "benchmarks/trl_round.py", str(CONFIG), "--out", str(out), *changes(overrides)]
    measured = run_measured([*command, "--rows-per-pass", str(options.rows_per_pass)], ROOT, place / "trl.log")
    result = json.loads(out.read_text())
    return {**costs(measured, result.pop("round")), **{name: round(value, 3) for name, value in result.items()}}


def costs(measured: Measured, seconds: float) -> dict[str, float]:
    """What is compared, MEASURES, and what the peak is made of."""
    return {
        "wall": round(measured.ended - measured.began, 1),
        "round": round(seconds, 1),
        "peak_gb": round(sum(measured.peak_bytes) / 1e9, 2),
        "processes_gb": [round(size / 1e9, 2) for size in measured.peak_bytes],
        "largest_process_gb": round(measured.largest_bytes / 1e9, 2),
    }


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the measures, with the least and the most; and each run."""
    spans = {measure: [run[measure] for run in runs] for measure in MEASURES}
    medians = {measure: round(statistics.median(values), 2) for measure, values in spans.items()}
    spread = {measure: [min(values), max(values)] for measure, values in spans.items()}
    return {**medians, "spread": spread, "runs": runs}


def ratios_of(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """Of the medians."""
    return {measure: round(ours[measure] / theirs[measure], 3) for measure in MEASURES}


if __name__ == "__main__":
    main()
