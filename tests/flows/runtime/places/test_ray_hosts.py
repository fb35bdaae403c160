"""What hosts are compared by, and what is said of a cluster that isn't there; no Ray runs here."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flows.runtime.places import ray_cluster, ray_connection
from flows.runtime.places.ray_check import nonce_beside
from flows.runtime.places.ray_cluster import RayCluster, describe_host
from flows.runtime.places.ray_hosts import Facts, code_digest, difference, find_facts, look_here
from mopd.errors import InputError
from mopd.settings.run import parse_settings

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


def test_this_host_is_like_itself_and_sees_its_nonce(tmp_path: Path) -> None:
    with nonce_beside(tmp_path / "runs" / "new") as nonce:
        host = look_here(("torch", "absent"), nonce)
        assert nonce.parent == tmp_path
        assert (host.nonce, host.may_write) == (nonce.name, True)
    assert difference(find_facts(("torch", "absent")), host.facts) == ""
    assert look_here(("torch",), nonce).nonce is None
    assert list(tmp_path.iterdir()) == []


def place(address: str = "auto") -> RayCluster:
    return RayCluster(parse_settings({"place": {"kind": "ray", "address": address}}))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'mopd\[ray\]'"):
        place().room(1)


def test_an_address_where_no_ray_answers_is_one_line_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection, "ANSWER_SECONDS", 3.0)
    with pytest.raises(InputError, match=r"place\.address: 127\.0\.0\.1:9: no Ray answers there \(within 3 s\)"):
        place("127.0.0.1:9").room(1)


def test_a_cluster_on_processors_must_say_how_many_devices_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "connect", lambda address: None)
    monkeypatch.setattr(ray_cluster, "_hosts", lambda: [{"Resources": {"CPU": 64.0}}])
    with pytest.raises(InputError, match=r"""--resources '{"device": 1}'"""):
        place().room(1)


def test_rooms_by_devices_and_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [{"Resources": {"CPU": 64.0, "GPU": 8.0}}, {"Resources": {"CPU": 64.0, "GPU": 5.0}}]
    hosts += [{"Resources": {"CPU": 16.0}}]
    monkeypatch.setattr(ray_cluster, "connect", lambda address: None)
    monkeypatch.setattr(ray_cluster, "_hosts", lambda: hosts)
    assert [place().room(devices) for devices in (1, 2, 8, 0)] == [13, 6, 1, 13]


def test_a_host_in_one_line() -> None:
    resources = {"CPU": 64.0, "GPU": 8.0, "memory": 512.0 * (1 << 30)}
    assert describe_host("node-3", resources) == "node-3: 8 GPUs, 64 CPUs, 512 GB for processes"
