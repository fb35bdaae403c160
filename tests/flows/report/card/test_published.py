"""Settings that leave the machine: no path of it, no address, each name of the hub at its commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.report.card.published import published_settings
from mopd.settings import Settings, load_settings
from storage.runs import RunFolder
from tests.flows.rounds_by_jobs import TINY

COMMIT, OTHER = "a" * 40, "b" * 40


def publish(folder: Path, *changes: str, hub: dict[str, str] | None = None) -> Settings:
    settings = load_settings(TINY, [*changes])
    document: dict[str, Any] = {"settings": settings.model_dump(mode="json"), "hub": hub or {}}
    return published_settings(RunFolder.create(folder, document), settings)


@pytest.mark.parametrize(
    ("source", "published"),
    [
        ("/home/me/secret/train.jsonl", "train.jsonl"),
        ("~/data/gsm8k#main/train", "gsm8k#main/train"),
        ("tasks.parquet", "tasks.parquet"),
        ("human-eval", "human-eval"),
        ("numbers:larger?size=10&seed=3", "numbers:larger?size=10&seed=3"),
        ("hub:acme/sums#main/test", f"hub:acme/sums#main/test@{COMMIT}"),
    ],
)
def test_sources_of_tasks(tmp_path: Path, source: str, published: str) -> None:
    tasks = f"tasks={{kind: file, train: {source!r}}}"
    settings = publish(tmp_path / "run", tasks, hub={"hub:acme/sums": COMMIT})
    assert settings.tasks.train == published  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "published"),
    [
        ("/home/me/secret/Qwen3-4B", "Qwen3-4B"),
        ("acme/student", f"acme/student@{OTHER}"),
        ("models/base", "base"),
        ("tiny:llama", "tiny:llama"),
    ],
)
def test_models(tmp_path: Path, path: str, published: str) -> None:
    teacher = f"train.teacher={{kind: external, path: {path!r}}}"
    settings = publish(tmp_path / "run", f"model.path={path}", teacher, hub={"acme/student": OTHER})
    assert settings.model.path == published
    assert settings.train.teacher.path == published  # type: ignore[union-attr]


def test_nothing_of_the_machine(tmp_path: Path) -> None:
    told = ["report.project=secret", "report.trackers=[wandb]", "report.page=false"]
    settings = publish(tmp_path / "run", "store.endpoint=http://10.0.0.1:9000", "place.devices=2", *told, "seed=5")
    defaults = Settings()
    assert (settings.store, settings.place, settings.report) == (defaults.store, defaults.place, defaults.report)
    assert settings.seed == 5


def test_an_engine_s_arguments_are_told_without_paths_and_addresses(tmp_path: Path) -> None:
    arguments = (
        "{kv_cache_dtype: fp8, gpu_memory_utilization: 0.8, enforce_eager: true, download_dir: ~/secret, "
        "data_parallel_address: 10.0.0.1, compilation_config: {mode: 3, cache_dir: models/secret, passes: [a, ./b]}}"
    )
    settings = publish(tmp_path / "run", "generate.engine=vllm", f"generate.engine_arguments={arguments}")
    assert settings.generate.engine_arguments == {
        "kv_cache_dtype": "fp8",
        "gpu_memory_utilization": 0.8,
        "enforce_eager": True,
        "download_dir": "…",
        "data_parallel_address": "…",
        "compilation_config": {"mode": 3, "cache_dir": "…", "passes": ["a", "…"]},
    }
