"""What is asked of each host of a cluster before a run is written: is it like this one, does it see the run?"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.runtime.messages import Report
from flows.runtime.places import ray_hosts
from flows.runtime.places.ray_hosts import Host, difference, find_facts, look_here
from flows.runtime.versions import PACKAGES
from flows.runtime.worker import in_own_process
from mopd.errors import InputError
from mopd.settings import Settings
from mopd.settings.verify import VerifySettings

PROBE_SECONDS = 60.0
"""A host has so long to start a process and answer."""


def check_hosts(nodes: Sequence[dict[str, Any]], folder: Path, settings: Settings) -> None:
    """Raises InputError, naming a host and the fix. `nodes`: as Ray lists them."""
    mine = find_facts(PACKAGES)
    with nonce_beside(folder) as nonce:
        for node, host in zip(nodes, _look(nodes, nonce)):
            if problem := difference(mine, host.facts) or _blindness(host, nonce, folder):
                raise InputError(f"{_name(node)} {problem}")
    _check_sandboxes(nodes, settings)


@contextmanager
def nonce_beside(folder: Path) -> Iterator[Path]:
    """A file for the hosts to read, in the run's folder or, while that isn't there, the nearest one above it."""
    home = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())
    nonce = home / f".mopd-seen-{secrets.token_hex(8)}"
    try:
        nonce.write_text(nonce.name)
    except OSError as error:
        raise InputError(f"{home}: can't be written ({error.strerror}); choose another run folder") from error
    try:
        yield nonce
    finally:
        nonce.unlink(missing_ok=True)


def _blindness(host: Host, nonce: Path, folder: Path) -> str:
    """Why the host can't work in the run's folder."""
    if host.nonce != nonce.name:
        return f"does not see {folder} as this one does; put the run on a folder that all hosts share"
    return "" if host.may_write else f"may not write in {nonce.parent}; give its user the right to"


def _look(nodes: Sequence[dict[str, Any]], nonce: Path) -> list[Host]:
    """Each node as a probe finds it, which is sent by value: the mopd there may be another one."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(ray_hosts)
    try:
        return _on_each(nodes, look_here, PACKAGES, nonce)
    finally:
        cloudpickle.unregister_pickle_by_value(ray_hosts)


def _check_sandboxes(nodes: Sequence[dict[str, Any]], settings: Settings) -> None:
    """Whether verifiers that want a sandbox find one on each host. Only where one is missing are the tasks read."""
    for node, problem in zip(nodes, _on_each(nodes, _sandbox_problem, settings.verify)):
        if problem and in_own_process(wants_sandbox, settings):
            raise InputError(f"{_name(node)}: {problem}")


def _sandbox_problem(settings: VerifySettings) -> str:
    from mopd.sandbox import open_sandbox

    try:
        open_sandbox(settings).close()
    except InputError as error:
        return str(error)
    return ""


def wants_sandbox(_: None, report: Report, settings: Settings) -> bool:
    """Whether a verifier of the tasks runs programs."""
    from mopd.tasks.draw import load_tasks
    from mopd.verifiers import find_verifier

    tasks = load_tasks(settings.tasks, settings.seed, settings.verify)
    return any(find_verifier(task.verifier).sandboxed for task in [*tasks.train, *tasks.heldout])


def _on_each(nodes: Sequence[dict[str, Any]], function: Any, *args: Any) -> list[Any]:
    """What a function returns on each host, all at once."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(num_cpus=0, max_retries=0)(function)
    answers = [
        remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(*args)
        for node in nodes
    ]
    ray.wait(answers, num_returns=len(answers), timeout=PROBE_SECONDS)
    values = []
    for node, answer in zip(nodes, answers):
        try:
            values.append(ray.get(answer, timeout=0))
        except RayError as error:
            why = next(iter(str(error).strip().splitlines()[-1:]), type(error).__name__)
            raise InputError(
                f"{_name(node)} does not answer ({why}); mend it, or take it out of the cluster"
            ) from error
    return values


def _name(node: dict[str, Any]) -> str:
    return f"place: ray: host {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
