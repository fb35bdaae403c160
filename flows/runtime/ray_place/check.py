"""What is asked of each host of a cluster before a run is written: is it like this one, does it see the run?"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

from flows.runtime.messages import Report
from flows.runtime.ray_place import hosts
from flows.runtime.ray_place.hosts import Facts, difference, find_facts, name_of
from flows.runtime.versions import PACKAGES
from flows.runtime.worker import in_own_process
from mopd.errors import InputError
from mopd.settings import Settings
from mopd.settings.verify import VerifySettings
from storage.errors import StorageError
from storage.stores.base import Store
from storage.stores.local import LocalStore

PROBE_SECONDS = 60.0
"""A host has so long to start a process and answer."""
POLL_SECONDS = 0.5


def check_hosts(nodes: Sequence[dict[str, Any]], store: Store, settings: Settings) -> None:
    """Raises InputError, naming a host and the fix. `nodes`: as Ray lists them; `store`: the run's."""
    _refuse(nodes, [None if facts is None else difference(own_facts(), facts) for facts in _facts_of(nodes)])
    with left_for_hosts(store) as (home, name):
        _refuse(nodes, _on_each(nodes, blindness, home, name, store.address))
    _check_sandboxes(nodes, settings)


@cache
def own_facts() -> Facts:
    """Of this process, when it was first asked: what it has imported by then is what it works with."""
    return find_facts(PACKAGES)


def _facts_of(nodes: Sequence[dict[str, Any]]) -> list[Facts | None]:
    """Of each host, by a probe that is sent by value: the mopd there may be another one."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(hosts)
    try:
        return _on_each(nodes, find_facts, PACKAGES)
    finally:
        cloudpickle.unregister_pickle_by_value(hosts)


@contextmanager
def left_for_hosts(store: Store) -> Iterator[tuple[Store, str]]:
    """A file that the hosts must see: where it is, and its name, which is its content too.

    It is in the run's bucket; or in its folder, or, while that isn't there, in the nearest one above it.
    """
    token = f"mopd-seen-{secrets.token_hex(8)}"
    if not store.renames:
        name = f"_tmp/{token}"
        store.prepare()
        store.create(name, name.encode())
        try:
            yield store, name
        finally:
            store.remove(name)
        return
    run = store.host_folder
    home = next(folder for folder in (run, *run.parents) if folder.is_dir())
    path = home / f".{token}"
    try:
        path.write_text(path.name)
    except OSError as error:
        raise InputError(f"{home}: can't be written ({error.strerror}); choose another run folder") from error
    try:
        yield LocalStore(home), path.name
    finally:
        path.unlink(missing_ok=True)


def blindness(home: Store, name: str, run: str) -> str:
    """Why this host can't work on the run; "" where it can."""
    try:
        seen = home.read(name)
    except (OSError, StorageError) as error:
        if home.renames:
            return f"does not see {run} as this one does; put the run on a folder that all hosts share, or in a bucket"
        return f"can't read {run} ({error}); start Ray there with the same credentials"
    assert seen == name.encode(), "nobody else writes a file of that name"
    if home.renames:
        writes = os.access(home.host_folder, os.W_OK | os.X_OK)
        return "" if writes else f"may not write in {home.host_folder}; give its user the right to"
    own = f"{name}-{secrets.token_hex(4)}"
    try:
        home.replace(own, b"")
        home.remove(own)
    except (OSError, StorageError) as error:
        return f"can't write to {run} ({error}); start Ray there with the same credentials"
    return ""


def _refuse(nodes: Sequence[dict[str, Any]], problems: Sequence[str | None]) -> None:
    """Raises InputError for the first host that has a problem."""
    for node, problem in zip(nodes, problems):
        if problem:
            raise InputError(f"{name_of(node)} {problem}")


def _check_sandboxes(nodes: Sequence[dict[str, Any]], settings: Settings) -> None:
    """Whether verifiers that want a sandbox find one on each host. Only where one is missing are the tasks read."""
    problems = _on_each(nodes, _sandbox_problem, settings.verify)
    if any(problems) and in_own_process(wants_sandbox, settings):
        _refuse(nodes, problems)


def _sandbox_problem(settings: VerifySettings) -> str:
    from mopd.sandbox import open_sandbox

    try:
        open_sandbox(settings).close()
    except InputError as error:
        return f"can't judge programs: {error}"
    return ""


def wants_sandbox(_: None, report: Report, settings: Settings) -> bool:
    """Whether a verifier of the tasks runs programs."""
    from mopd.tasks.draw import load_tasks
    from mopd.verifiers import find_verifier

    tasks = load_tasks(settings.tasks, settings.seed, settings.verify)
    names = {settings.verify.judge_of(task.verifier) for task in [*tasks.train, *tasks.heldout]}
    return any(find_verifier(name).sandboxed for name in names)


def _on_each(nodes: Sequence[dict[str, Any]], function: Callable[..., Any], *args: Any) -> list[Any]:
    """What a function returns on each host, all at once; None for a host that has left since it was listed."""
    with ThreadPoolExecutor(len(nodes)) as threads:
        return list(threads.map(lambda node: _ask(node, function, *args), nodes))


def _ask(node: dict[str, Any], function: Callable[..., Any], *args: Any) -> Any:
    """Asked again while the host is in Ray's list, but not known yet to those who place its tasks."""
    import ray
    from ray.exceptions import RayError, TaskUnschedulableError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    remote = ray.remote(num_cpus=0, max_retries=0)(function).options(scheduling_strategy=strategy)
    deadline = time.monotonic() + PROBE_SECONDS
    while True:
        try:
            return ray.get(remote.remote(*args), timeout=deadline - time.monotonic())
        except RayError as error:
            if not any(there["NodeID"] == node["NodeID"] and there["Alive"] for there in ray.nodes()):
                return None
            if isinstance(error, TaskUnschedulableError) and time.monotonic() < deadline - POLL_SECONDS:
                time.sleep(POLL_SECONDS)
                continue
            why = next(iter(str(error).strip().splitlines()[-1:]), "") or type(error).__name__
            raise InputError(
                f"{name_of(node)} does not answer ({why}); mend it, or take it out of the cluster"
            ) from error
