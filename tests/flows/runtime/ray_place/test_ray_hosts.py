"""What hosts are compared by, and what is said of a cluster that isn't there; no Ray runs here."""

from __future__ import annotations

import os
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from flows.runtime.places.share import Share
from flows.runtime.ray_place import cluster, connection, keeper
from flows.runtime.ray_place.check import blindness, left_for_hosts
from flows.runtime.ray_place.cluster import RayCluster, describe_host
from flows.runtime.ray_place.hosts import Facts, code_digest, difference, find_facts
from flows.runtime.ray_place.keeper import Keeper, Order, cores_of, find_meeting
from flows.runtime.worker import load_nothing
from mopd.errors import InputError
from mopd.settings.run import parse_settings
from storage.stores.address import open_store

NODE = {"NodeID": "node", "NodeManagerHostname": "node-3", "NodeManagerAddress": "10.0.0.3", "Resources": {"GPU": 8.0}}
FACTS = Facts("3.11.7", "0123456789abcdef", {"torch": "2.14.0", "vllm": ""})


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (FACTS, ""),
        (replace(FACTS, python="3.12.1"), "has Python 3.12.1, and this one 3.11.7; take the same on all hosts"),
        (replace(FACTS, code=""), "has no mopd; install it there, from the same lock"),
        (
            replace(FACTS, code="f" * 64),
            "has another mopd (code ffffffff, here 01234567); install the same on all hosts",
        ),
        (
            replace(FACTS, packages={"torch": "2.13.0", "vllm": ""}),
            "has torch 2.13.0, and this one 2.14.0; install from the same lock on all hosts",
        ),
        (
            replace(FACTS, packages={"torch": "2.14.0", "vllm": "0.33.0"}),
            "has vllm 0.33.0, and this one none; install from the same lock on all hosts",
        ),
    ],
)
def test_what_differs_is_said_with_the_fix(other: Facts, problem: str) -> None:
    assert difference(FACTS, other) == problem


def test_a_changed_module_changes_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("flows", "mopd", "storage"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    first = code_digest()
    assert code_digest() == first
    (tmp_path / "mopd" / "new.py").write_text("x = 1\n")
    assert code_digest() != first


def test_this_host_is_like_itself_and_sees_what_is_left_for_it(tmp_path: Path) -> None:
    facts = find_facts(("torch", "absent"))
    assert difference(facts, find_facts(("torch", "absent"))) == ""
    run = tmp_path / "runs" / "new"
    with left_for_hosts(open_store(run)) as (home, name):
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert blindness(home, name, "the run") == ""
    assert list(tmp_path.iterdir()) == []
    assert blindness(home, name, "the run").startswith("does not see the run as this one does; put the run on a folder")


def place(address: str = "auto") -> RayCluster:
    return RayCluster(parse_settings({"place": {"kind": "ray", "address": address}}))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'mopd\[ray\]'"):
        place().room(1)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("127.0.0.1:9", r"127\.0\.0\.1:9: no Ray answers there \(Connection refused\); start the cluster"),
        ("10.0.0..1:6379", r"10\.0\.0\.\.1:6379: no Ray answers there \(.*label empty or too long\)"),
        ("ray://head:10001", "ray://head:10001: HOST:PORT of the cluster's head is wanted, or auto"),
    ],
)
def test_an_address_where_nothing_is_is_one_line(address: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"place\.address: {problem}"):
        place(address).room(1)


def test_something_else_that_listens_there_is_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"place\.address: {address}: no Ray answers there \(within 3 s\)"):
            place(address).room(1)


def test_a_cluster_on_processors_must_say_how_many_devices_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "connect", lambda address: None)
    monkeypatch.setattr(cluster, "_hosts", lambda: [{"Resources": {"CPU": 64.0}}])
    with pytest.raises(InputError, match=r"""--resources '{"device": 1}'"""):
        place().room(1)


def test_what_a_device_is_stays_while_no_host_is_there_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [{"Resources": {"CPU": 4.0, "GPU": 1.0}}]
    monkeypatch.setattr(cluster, "connect", lambda address: None)
    monkeypatch.setattr(cluster, "_hosts", lambda: hosts)
    found = place()
    assert found.room(1) == 1
    hosts[:] = [{"Resources": {"CPU": 4.0}}]
    assert found.room(1) == 0  # who wants one waits for hosts


def test_rooms_by_devices_and_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [{"Resources": {"CPU": 64.0, "GPU": 8.0}}, {"Resources": {"CPU": 64.0, "GPU": 5.0}}]
    hosts += [{"Resources": {"CPU": 16.0}}]
    monkeypatch.setattr(cluster, "connect", lambda address: None)
    monkeypatch.setattr(cluster, "_hosts", lambda: hosts)
    assert [place().room(devices) for devices in (1, 2, 8, 0)] == [13, 6, 1, 13]


def test_ranks_must_have_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster, "connect", lambda address: None)
    monkeypatch.setattr(cluster, "_hosts", lambda: [NODE] * 2)
    settings = parse_settings({"place": "ray", "train": {"ranks": 17}})
    with pytest.raises(InputError, match=r"train\.ranks: 17, and the cluster has room for 16; lower it, or add hosts"):
        RayCluster(settings).check(open_store(tmp_path))


def keeper_on_a_host_that_is_like(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    monkeypatch.setattr(keeper, "_own_node", lambda: NODE)
    monkeypatch.setattr(Keeper, "_share_of_host", lambda self, node, order: Share())
    monkeypatch.setenv(keeper.THREADS, "1")
    order = Order("trainer-0", load_nothing, (), "GPU", 1, {}, Path.cwd(), None, 60.0, facts)
    return Keeper(order)


def test_a_host_that_joined_and_is_not_like_the_others_does_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(find_facts(("torch",)), python="3.9.9")
    keeper = keeper_on_a_host_that_is_like(other, monkeypatch)
    expected = r"place: ray: host node-3 \(10\.0\.0\.3\) has Python 3\.\d.*, and this one 3\.9\.9; take the same"
    with pytest.raises(InputError, match=expected):
        keeper.ready()
    [(kind, error)] = keeper.run(find_meeting, ())
    assert kind == "error" and isinstance(error, InputError)


def test_cores_that_the_process_before_still_holds_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, after = (keeper_on_a_host_that_is_like(find_facts(()), monkeypatch) for _ in range(2))
    assert before._take_numbers(tmp_path / "held", 3, 2) == [0, 1]
    threading.Timer(0.5, lambda: [os.close(descriptor) for descriptor in before._held.values()]).start()
    assert after._take_numbers(tmp_path / "held", 3, 2) == [0, 2]


@pytest.mark.parametrize(
    ("numbers", "most", "cores"), [([0], 2, (3, 5)), ([1], 2, (7, 9)), ([1, 2], 3, (5, 7)), ([5], 8, (5,))]
)
def test_each_device_of_a_host_is_some_of_its_cores(numbers: list[int], most: int, cores: tuple[int, ...]) -> None:
    assert cores_of(numbers, most, (3, 5, 7, 9)) == cores


def test_a_host_in_one_line() -> None:
    resources = {"CPU": 64.0, "GPU": 8.0, "memory": 512.0 * (1 << 30)}
    assert describe_host("node-3", resources) == "node-3: 8 GPUs, 64 CPUs, 512 GB for processes"
