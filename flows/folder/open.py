"""Opening a run folder: everything is checked before anything is created."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flows.folder.commits import HUB, Commits, are_loaded, commits_of, hub_names, load_names, pinned
from flows.folder.inputs import check_device, check_inputs
from flows.folder.named_models import make_models, model_paths
from flows.folder.replay.lines import follow
from flows.folder.replay.rollbacks import with_lowered_rate
from flows.folder.tracker_libraries import check_trackers
from flows.plan.conditions import changed_settings
from flows.plan.run import RunPlan
from flows.plan.stage import free_settings, is_free
from flows.runtime.places.open import check_place
from flows.runtime.shell import shell_command
from flows.runtime.versions import installed_versions
from flows.runtime.worker import in_own_process
from mopd.errors import InputError
from mopd.settings import Settings
from mopd.settings.tasks import FileTasks
from mopd.tasks.sources import expand, split_suffix
from storage.errors import StorageError
from storage.runs import ABSENT, RUN_FILE, RunFolder
from storage.stores.address import Address, open_store
from storage.stores.base import Held, Lease, Store

FileStamps = tuple[tuple[str, int, int], ...]
"""Path, bytes and time of the last change (ns) of each file."""


def open_run(settings: Settings, run_dir: Address, *, config: str) -> RunFolder:
    """The run for these settings, created if it isn't there, continued if it is.

    Raises InputError or StorageError, one line, before anything is written: for inputs that can't work, and for a
    folder that was made by other settings. More rounds than before, and other settings that change no result, continue
    the run.
    """
    check_trackers(settings)
    store = open_store(run_dir, endpoint=settings.store.endpoint)
    if store.stat(RUN_FILE) is not None:
        return _reopen(store, settings)
    if not store.is_empty():
        raise InputError(f"{run_dir}: is not empty and is not a run (no {RUN_FILE}); choose another folder")
    store.check()
    check_place(settings, store)
    document = run_document(settings, config, inputs_of(settings))
    return RunFolder.create(store, document)


@contextmanager
def run_lock(folder: RunFolder) -> Iterator[None]:
    """Hold the run for this process. Raises InputError when another process holds it.

    A killed holder's comes free; what it wrote into it tells that it never finished.
    """
    with hold_run(folder) as lease:
        lease.write(f"process {os.getpid()} on {platform.node()}")
        yield
        lease.write("")


def ended_cleanly(folder: RunFolder) -> bool:
    """Whether the last process that held the run came to its end. Raises InputError while one holds it."""
    with hold_run(folder) as lease:
        return not lease.read()


def require_free(folder: RunFolder) -> None:
    """Raises InputError where another process holds the run: said before anything starts that needs it for itself."""
    with hold_run(folder):
        pass


@contextmanager
def hold_run(folder: RunFolder) -> Iterator[Lease]:
    """Hold the run, or say who does: what a killed holder wrote stays. Raises InputError."""
    with ExitStack() as stack:
        try:
            lease = stack.enter_context(folder.store.hold())
        except Held as error:
            raise InputError(
                f"{folder.address}: is being run by {_holder(str(error))}; wait for it or stop it"
            ) from error
        yield lease


def who_runs(folder: RunFolder) -> str | None:
    """Another process that holds the run, as far as can be told without taking it; None where nobody does."""
    holder = folder.store.holder()
    return _holder(holder.text) if holder.held else None


def _holder(written: str) -> str:
    """Who holds the run, by the words in its lock: those of a killed one stand until the next begins to work."""
    return written if may_live(written) else "another process"


def may_live(written: str) -> bool:
    """Whether words in a lock are those of a process that works on the run, as far as that can be told from here."""
    match = re.fullmatch(r"process (\d+) on (.*)", written)
    return match is not None and (match[2] != platform.node() or Path("/proc", match[1]).exists())


def inputs_of(settings: Settings, known: Commits = MappingProxyType({})) -> dict[str, Any]:
    """Digests and counts of model and tasks, checked in a process of its own, once while no file of theirs changes.

    Names of the hub are looked up and loaded, but for those whose commits are `known`; with them, `hub` has them all.
    Raises InputError.
    """
    names = hub_names(settings, known)
    if not are_loaded(names, known):
        in_own_process(check_device, settings)  # before gigabytes are loaded that can't be used here
    commits = load_names(names, known, allow_pickled=settings.model.allow_pickled_weights)
    settings = pinned(settings, commits)
    make_models(model_paths(settings))
    inputs = _check_inputs_once(settings, _read_file_stamps(settings))
    return {**inputs, HUB: {**known, **commits}} if known or commits else inputs


@lru_cache(maxsize=32)
def _check_inputs_once(settings: Settings, stamps: FileStamps) -> dict[str, Any]:
    inputs: dict[str, Any] = in_own_process(check_inputs, settings, tasks_digest(settings))
    return inputs


def _read_file_stamps(settings: Settings) -> FileStamps:
    """The files that models and tasks are read from, as they are now; of a model that has a name alone, none."""
    tasks = settings.tasks
    sources = [tasks.train, tasks.heldout] if isinstance(tasks, FileTasks) else []
    paths = [split_suffix(expand(source))[0] for source in sources if source is not None]
    paths += [Path(model).expanduser() for model in model_paths(settings)]
    files = [file for path in paths for file in (path, *sorted(path.rglob("*"))) if file.is_file()]
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def tasks_digest(settings: Settings) -> str:
    """What the sources of tasks hold, as a hash; of nothing for tasks that the settings generate. Raises InputError."""
    if isinstance(settings.tasks, FileTasks):
        from mopd.tasks.files import sources_digest  # all verifiers come along, and `mopd status` asks for no tasks

        return sources_digest(settings.tasks, settings.verify)
    return hashlib.sha256().hexdigest()


def _reopen(store: Store, settings: Settings) -> RunFolder:
    """Everything is checked under the lock; then `run.json` notes what changed."""
    with hold_run(RunFolder.open(store)):
        before = RunFolder.open(store)
        settings = with_lowered_rate(before, settings)
        folder = _continue(before, settings)
        plan = RunPlan.of(folder)
        if plan.missing(folder):
            check_place(settings, store)
            check_inputs_unchanged(folder, plan, settings)
        if folder != before:
            folder.save(before)
        return folder


def _continue(folder: RunFolder, settings: Settings) -> RunFolder:
    """The run with these settings, not written yet: more rounds, and settings that change no result, may differ."""
    rounds = RunPlan.of(folder).settings.rounds
    if settings.rounds < rounds:
        raise InputError(
            f"{folder.address}: has {rounds} rounds; rounds: {settings.rounds} is less, give at least as many"
        )
    differences = changed_settings(folder, settings)
    free = ("rounds", *free_settings(settings))
    refused = {key: pair for key, pair in differences.items() if not is_free(key, free)}
    if refused:
        raise StorageError(folder.refusal(refused))
    document = folder.document
    if settings.rounds > rounds:
        _refuse_longer_schedule(folder, settings, rounds)
        document = _note(document, "extended", [{"from": rounds, "to": settings.rounds}])
    changed = [
        {"setting": key, "from": _or_none(old), "to": _or_none(new)}
        for key, (old, new) in differences.items()
        if key != "rounds"
    ]
    if changed:
        document = _note(document, "changed", changed)
    if not differences:
        return folder
    document = {**document, "settings": settings.model_dump(mode="json")}
    return follow(folder, document, rounds) if folder.superseded else replace(folder, document=document)


def _or_none(value: Any) -> Any:
    """A setting as JSON has it: None where a choice has no such one."""
    return None if value is ABSENT else value


def _refuse_longer_schedule(folder: RunFolder, settings: Settings, rounds: int) -> None:
    """The rounds there are were trained under a rate that falls over `rounds` of them."""
    if settings.train.schedule != "constant":
        fork = shell_command("fork", folder.address, "NEW", round=rounds, set=f"rounds={settings.rounds}")
        raise InputError(
            f"{folder.address}: train.schedule: {settings.train.schedule} lets the learning rate fall over its "
            f"{rounds} rounds; when they are done, {fork} goes on at the rate that a run of {settings.rounds} "
            "rounds has then"
        )


def _note(document: dict[str, Any], name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {**document, name: [*document.get(name, []), *entries]}


def check_inputs_unchanged(folder: RunFolder, plan: RunPlan, settings: Settings) -> dict[str, Any]:
    """Digests and counts for these settings, checked. Raises InputError where model or tasks changed on disk since.

    Those that the settings of `plan` name too must be what they were: a run goes on with what it began with.
    """
    inputs = inputs_of(settings, commits_of(folder))
    planned = plan.settings
    sources = (
        ("model_digest", settings.model.path == planned.model.path, f"the model {settings.model.path}"),
        ("teacher_digest", settings.train.teacher == planned.train.teacher, "the model of train.teacher.path"),
        ("tasks_digest", settings.tasks == planned.tasks, "the task source"),
    )
    for name, is_same, source in sources:
        if is_same and inputs[name] != getattr(plan, name):
            raise InputError(
                f"{folder.address}: {source} changed since the run was made; restore it or start a new run"
            )
    return inputs


def run_document(settings: Settings, config: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """What run.json says of a new run; `inputs` as `inputs_of` gives them."""
    return {"config": config, "settings": settings.model_dump(mode="json"), **inputs, **made_by()}


def made_by() -> dict[str, Any]:
    """What run.json says of the code that made a folder."""
    return {"versions": installed_versions(), "code_revision": _read_code_revision()}


def _read_code_revision() -> str:
    """The git commit of the code (`+` where files differ from it), or the package's version."""
    root = Path(__file__).resolve().parents[2]
    if (root / ".git").exists():
        # No git here, or no commit yet: the version says what there is to say.
        with suppress(OSError, subprocess.CalledProcessError):
            return _run_git(root, "rev-parse", "HEAD") + ("+" if _run_git(root, "status", "--porcelain") else "")
    try:
        return f"mopd {version('mopd')}"
    except PackageNotFoundError:
        return "unknown"


def _run_git(root: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a question changes nothing, be it killed half-way
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()
