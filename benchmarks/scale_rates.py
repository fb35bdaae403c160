"""What the plan on paper is reckoned with (`scale_on_paper.py`): each rate with what it is and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
QWEN3_8B = "https://docs.gpustack.ai/latest/performance-lab/qwen3-8b/h100-latency"
TORCHTITAN = "torchtitan's benchmarks/llama3_h100_202412_torchtitan.md"
SHEET = "NVIDIA's data sheet"
S3 = "Amazon S3's performance guidelines"
ASSUMED = "assumed"


class Rate(NamedTuple):
    """A number that others follow from."""

    value: float
    shown: str
    what: str
    source: str


def result(name: str) -> Any:
    """What a benchmark of this repository has written."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def _measured(name: str) -> str:
    return f"measured here: `benchmarks/results/{name}.json`"


_contexts = next(row for row in result("contexts")[-1]["results"] if row["variant"] == "contrastive")
_scores = next(
    way
    for way in result("score_bytes")["results"]["hot"]["ways"]
    if way["way"] == "shard" and way["precision"] == "float16" and way["student"]
)
_programs = result("sandbox_throughput")[-1]["results"][0]

RATES: dict[str, Rate] = {
    "peak": Rate(989e12, "989 TFLOP/s", "an H100 SXM, dense bfloat16", SHEET),
    "memory": Rate(80 * 2**30, "80 GB", "its memory", SHEET),
    "bandwidth": Rate(3.35e12, "3.35 TB/s", "its memory's bandwidth", SHEET),
    "nvlink": Rate(450e9, "450 GB/s", "NVLink, each way, a GPU", SHEET),
    "infiniband": Rate(50e9, "50 GB/s", "a network card of 400 Gb/s a GPU, each way", "DGX H100 user guide"),
    "pcie": Rate(64e9, "64 GB/s", "PCIe of a GPU, each way", SHEET),
    "cores": Rate(112, "112", "CPU cores of a host", "DGX H100 user guide"),
    "decoding": Rate(
        0.61,
        "61 %",
        "of the bandwidth is reached while sampling: vLLM 0.11 takes 7.38 ms for a token of each of 4 sequences",
        f"published: {QWEN3_8B}",
    ),
    "mfu": Rate(
        0.33,
        "33 %",
        "of the peak in training, and in scoring: FSDP2 of Llama 3.1 8B, not compiled, on 8 H100s (5,762 tokens/s a "
        "GPU; 5,605 on 128)",
        f"published: {TORCHTITAN}",
    ),
    "links": Rate(0.8, "80 %", "of NVLink, network and PCIe is reached", ASSUMED),
    "engine": Rate(60, "60 s", "a vLLM engine starts, its weights aside", ASSUMED),
    "process": Rate(20, "20 s", "a scorer or a rank starts, its weights aside", ASSUMED),
    "loading": Rate(5e9, "5 GB/s", "a process reads weights that are on its host", ASSUMED),
    "store": Rate(2e9, "2 GB/s", "a host writes to, and reads from, where the run lives", ASSUMED),
    "latency": Rate(0.15, "0.15 s", "a small request to an object store", f"{S3}: 0.1 to 0.2 s"),
    "writes": Rate(3500, "3,500/s", "writing requests to one prefix", S3),
    "part": Rate(64e6, "64 MB", "a part of a large upload", ASSUMED),
    "sha256": Rate(
        2.1e9, "2.1 GB/s", "sha256 of a file, one core", "measured here: `hashlib.sha256` over 0.5 GB, 2026-11-29"
    ),
    "programs": Rate(
        _programs["mopd_programs_per_s"] / _programs["workers"],
        f"{_programs['mopd_programs_per_s'] / _programs['workers']:.0f}/s",
        "programs judged in the sandbox, a core; a reply is one",
        _measured("sandbox_throughput"),
    ),
    "contexts": Rate(
        _contexts["contexts_per_second"],
        f"{_contexts['contexts_per_second']:.0f}/s",
        "contexts made by the process that makes them",
        _measured("contexts"),
    ),
    "context_tokens": Rate(
        _contexts["mean_tokens"], f"{_contexts['mean_tokens']:,}", "tokens of a context", _measured("contexts")
    ),
    "context_sharing": Rate(
        _contexts["contexts"] / _contexts["different"],
        f"{_contexts['contexts'] / _contexts['different']:.1f}",
        "replies that are read behind one context",
        _measured("contexts"),
    ),
    "score_bytes": Rate(
        _scores["bytes_per_token"],
        f"{_scores['bytes_per_token']:.0f} B",
        "`scores`, a token, k = 100; a vocabulary of 152k takes some 20 B more",
        _measured("score_bytes"),
    ),
    "writing": Rate(
        1e6 * _scores["write_mb_per_second"],
        f"{_scores['write_mb_per_second']:.0f} MB/s",
        "numbers of 4 bytes written to shards, one core",
        _measured("score_bytes"),
    ),
    "reading": Rate(
        1e6 * _scores["read_mb_per_second"],
        f"{_scores['read_mb_per_second']:.0f} MB/s",
        "numbers of 4 bytes read from shards, one core",
        _measured("score_bytes"),
    ),
    "other_bytes": Rate(20, "20 B", "`rollouts` and `contexts`, a token of a reply", "docs/storage.md"),
}
"""By the name that the arithmetic calls them."""


def rate(name: str) -> float:
    """A rate's value."""
    return RATES[name].value
