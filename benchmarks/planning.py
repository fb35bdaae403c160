"""What a start costs before anything is computed: planning all shards, then looking for each in a finished run.

    python benchmarks/planning.py --rounds 20 --prompts 1250 --history 5 --out FILE.json

The run folder is made of manifests with one byte of data each. Seconds are the CPU's; memory is what the process has
grown by at its peak.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.plan.run import DIGESTS, RunPlan
from flows.plan.shard import Shard
from mopd.settings import Settings, load_settings
from storage.manifests import Manifest, manifest_name
from storage.runs import RunFolder

CONFIG = Path(__file__).parents[1] / "examples" / "tiny.yaml"
INPUTS: dict[str, Any] = {"model_digest": "m", "tasks_digest": "t", "num_heldout": 100, "teacher_digest": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=1250, help="of a round")
    parser.add_argument("--shard", type=int, default=16, help="prompts of a shard")
    parser.add_argument("--history", type=int, default=5, help="earlier rounds whose successes may be shown")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    settings = load_settings(
        CONFIG,
        [
            *(f"rounds={options.rounds}", f"generate.num_prompts={options.prompts}"),
            *(f"prompts_per_shard={options.shard}", f"condition.history_rounds={options.history}"),
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        report = measure(settings, Path(folder) / "run")
    text = json.dumps({"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": platform.machine(), **report}, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


def measure(settings: Settings, path: Path) -> dict[str, Any]:
    """Seconds of CPU and mebibytes of both steps, and of planning once more."""
    folder = RunFolder.create(path, {"settings": settings.model_dump(mode="json"), **INPUTS})
    assert set(INPUTS) == set(DIGESTS)
    plan = RunPlan.of(folder)
    planned = timed(lambda: plan.shards())
    for shard in plan.shards():
        write(folder, shard)
    looked = timed(lambda: plan.missing(folder))
    assert plan.missing(folder) == []
    again = timed(lambda: RunPlan.of(folder).shards())
    return {"shards": len(plan.shards()), "planning": planned, "looking": looked, "planning again": again}


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """CPU seconds of a call, and by how many MiB the process's peak rose."""
    began, before = time.process_time(), peak()
    work()
    return {"seconds": round(time.process_time() - began, 2), "mebibytes": peak() - before}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def write(folder: RunFolder, shard: Shard) -> None:
    """A manifest, and a byte of data, as a commit would leave them."""
    path = folder.path / manifest_name(folder, shard.table, shard.round, shard.shard, shard.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = f"{shard.table}/round={shard.round:04d}/{shard.shard:05d}-{shard.key[:12]}.parquet"
    counts = {"groups": 1, "any_success": 1, "mixed": 1}
    manifest = Manifest(
        *(shard.table, shard.round, shard.shard, shard.key, file, 1, 1, shard.key),
        *({}, [f"{parent.key}:{parent.key}" for parent in shard.read], counts, {}, "2026"),
        name=shard.name,
    )
    path.write_text(manifest.to_json())
    if shard.table != "policies":
        (folder.path / file).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / file).write_bytes(b"x")


if __name__ == "__main__":
    main()
