"""On the hosts of a Ray cluster, in a bucket, trained by two ranks: the run of two ranks in a folder of this host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage.stores.address import open_store
from tests.e2e.harness import FAKE, TINY, Prefect
from tests.loopback_cluster import ENVIRONMENT, LoopbackCluster
from tests.object_servers import new_bucket, seaweed_in_environment, store_environment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
RANKS = (*FAKE, "--set", "train.ranks=2", "--set", "rounds=1", "--set", "evaluate.when=never")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real object store, to which the environment of this process leads, and that of hosts that join later."""
    with seaweed_in_environment(tmp_path_factory) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def cluster(endpoint: str) -> Iterator[LoopbackCluster]:
    cluster = LoopbackCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def driver(prefect: Prefect, cluster: LoopbackCluster, endpoint: str) -> Prefect:
    """Commands on the cluster's head, with the credentials of the hosts."""
    env = {**prefect.env, **ENVIRONMENT, "OMP_NUM_THREADS": "1", **store_environment()}
    return replace(prefect, env=env)


def test_two_ranks_on_two_hosts_in_a_bucket(
    prefect: Prefect, driver: Prefect, cluster: LoopbackCluster, endpoint: str, tmp_path: Path
) -> None:
    local = prefect.mopd("run", TINY, "--run", tmp_path / "tiny", *RANKS, "--set", "place.devices=2")
    assert local.returncode == 0, local.stdout + local.stderr
    address = f"s3://{new_bucket(endpoint)}/runs/tiny"
    place = f"place={{kind: ray, address: '{cluster.address}'}}"
    done = driver.own_mopd("run", TINY, "--run", address, *RANKS, "--set", place, seconds=500)
    assert done.returncode == 0, done.stdout + done.stderr
    digest = driver.own_mopd("digest", address)
    assert digest.stdout == prefect.mopd("digest", tmp_path / "tiny").stdout != ""
    assert [name for name in open_store(address).list_files("") if "mopd-seen" in name] == []


def test_hosts_without_the_credentials_are_refused(driver: Prefect, cluster: LoopbackCluster, endpoint: str) -> None:
    address = f"s3://{new_bucket(endpoint)}/runs/refused"
    poor = cluster.add_host(AWS_ACCESS_KEY_ID="nobody", AWS_SECRET_ACCESS_KEY="nothing")
    place = f"place={{kind: ray, address: '{cluster.address}'}}"
    done = driver.own_mopd("run", TINY, "--run", address, *FAKE, "--set", place)
    cluster.remove_host(poor)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "can't read" in done.stderr and "start Ray there with the same credentials" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert open_store(address).is_empty()
