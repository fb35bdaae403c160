"""Memory for a cache on the CPU: what the machine and all control groups leave, and never more than the ceiling."""

from __future__ import annotations

from pathlib import Path

import pytest

from mopd.engines import vllm_engine
from mopd.memory import available as memory
from mopd.memory.footprint import cache_bytes, read_shape
from mopd.models.folders import resolve_model

GIB = 1 << 30


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")


def test_each_group_above_a_process_may_limit_it(tmp_path: Path) -> None:
    group(tmp_path / "a" / "b", memory_max="max", memory_current="5")
    group(tmp_path / "a", memory_max="1000", memory_current="300", memory_stat="anon 5\ninactive_file 100")
    group(tmp_path / "other", memory_max="10", memory_current="1")
    assert memory.limited_memory(tmp_path, "0::/a/b\n") == [800]


def test_groups_of_version_1_limit_too(tmp_path: Path) -> None:
    group(tmp_path / "memory" / "x", memory_limit_in_bytes="1000", memory_usage_in_bytes="1200")
    group(tmp_path / "memory", memory_limit_in_bytes="5000", memory_usage_in_bytes="1200")
    assert memory.limited_memory(tmp_path, "4:cpu,cpuacct:/x\n3:memory:/x\n0::/\n") == [0, 3800]


def test_nothing_limits_where_there_are_no_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.limited_memory(tmp_path / "none", "0::/\n") == []
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "none")
    assert memory.available_memory() > 0


@pytest.mark.parametrize(("available", "cache"), [(64 * GIB, 2 * GIB), (4 * GIB, 2 * GIB), (GIB, GIB // 2)])
def test_the_cache_takes_half_of_what_there_is_and_two_gib_at_most(
    available: int, cache: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mopd.engines.vllm_engine.available_memory", lambda: available)
    assert vllm_engine.cpu_cache_bytes() == cache


def test_the_cache_is_no_larger_than_what_it_can_hold_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mopd.engines.vllm_engine.available_memory", lambda: 64 * GIB)
    shape = read_shape(resolve_model("tiny:llama"))
    of_a_token = cache_bytes(shape, 2, num_tokens=1)
    most = vllm_engine.most_cache_bytes(shape, 2, window=33, num_sequences=7)
    assert most == of_a_token * 64 * 8  # two blocks a sequence, and those of one more
    assert vllm_engine.cpu_cache_bytes(most) == most
    assert vllm_engine.cpu_cache_bytes(3 * GIB) == 2 * GIB


def test_vllms_own_variable_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    assert vllm_engine.cpu_cache_bytes() == 7 * GIB
