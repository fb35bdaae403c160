"""What a run can do without: what was left, superseded or set aside, and the weights of old policies."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from flows.folder.policies import has_adapter, wanted_by_rollbacks
from flows.plan.run import DIGESTS, RunPlan
from mopd.errors import InputError
from storage.aside import DAMAGED
from storage.garbage import collect_garbage, list_earlier, list_garbage, list_superseded
from storage.lineage import read_fork_notes
from storage.lookup import scan
from storage.manifests import POLICIES, Manifest
from storage.policies import list_weights, remove_weights
from storage.runs import RunFolder


@dataclass(frozen=True)
class Removal:
    """Files of one kind that go together."""

    what: str
    why: str
    files: Mapping[str, int]
    """What goes, and the bytes of each."""
    policies: tuple[Manifest, ...] = ()
    """Those whose weights the files are: their manifests stay, and say so."""

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(self.files.values())


def plan_removal(folder: RunFolder, *, keep_policies: int | None = None, best: int | None = None) -> list[Removal]:
    """What can go. `keep_policies`: how many of the newest keep their weights, None for all; `best`: the policy (its
    version) that evaluations say is the best. Nothing is touched. Raises InputError for a negative number."""
    if keep_policies is not None and keep_policies < 0:
        raise InputError(f"--keep-policies {keep_policies}: must be 0 or more")
    return [removal for removal in _list_removals(folder, keep_policies, best) if removal.files]


def remove(folder: RunFolder, removals: Collection[Removal]) -> None:
    """Remove it. The caller holds the run. Killed in between, this leaves files that no manifest names."""
    for removal in removals:
        for policy in removal.policies:
            remove_weights(folder, policy)
        for file in removal.files:
            folder.store.remove(file)
    collect_garbage(folder)


def _list_removals(folder: RunFolder, keep_policies: int | None, best: int | None) -> Iterator[Removal]:
    yield Removal("leftovers", "no manifest names them", list_garbage(folder))
    damaged = sum(entry.bytes for entry in folder.store.list_files(f"{DAMAGED}/").values())
    yield Removal("set aside", "damaged, by mopd repair", {DAMAGED: damaged} if damaged else {})
    yield from _by_table(list_superseded(folder), "a round was redone: can't be brought back then")
    if folder.document.keys() >= set(DIGESTS):
        plan = RunPlan.of(folder)
        yield from _by_table(list_earlier(folder, {shard.key for shard in plan.shards()}), "newer ones came after")
        if keep_policies is not None:
            yield from _old_policies(folder, plan, keep_policies, best)


def _by_table(files: Mapping[str, int], why: str) -> Iterator[Removal]:
    """A removal a table; the order of the files stays."""
    for table in dict.fromkeys(name.partition("/")[0] for name in files):
        of_table = {name: bytes for name, bytes in files.items() if name.startswith(f"{table}/")}
        yield Removal(table, why, of_table)


def _old_policies(folder: RunFolder, plan: RunPlan, number: int, best: int | None) -> Iterator[Removal]:
    """The weights of each policy that nobody needs."""
    policies = {manifest.round + 1: manifest for manifest in scan(folder, POLICIES)[0]}
    newest = sorted(policies)[-max(number, 1) :]  # the next round begins with one
    kept = {*newest, *({best} if best else ())} | _needed_by_plan(folder, plan) | _needed_by_forks(folder, policies)
    latest = max(policies, default=0)
    kept |= wanted_by_rollbacks(folder, plan.settings, latest - 1) | wanted_by_rollbacks(folder, plan.settings, latest)
    kept |= {_base_of(policies, version) for version in kept}
    for version, policy in sorted(policies.items()):
        if version not in kept and not policy.home:
            why = f"not among the newest {len(newest)}, not the best, and nothing needs it"
            yield Removal(f"policy {version}", why, list_weights(folder, policy), (policy,))


def _needed_by_plan(folder: RunFolder, plan: RunPlan) -> set[int]:
    """The policies by which shards are made that the run has yet to make."""
    return {read.round + 1 for shard in plan.missing(folder) for read in shard.read if read.table == POLICIES}


def _needed_by_forks(folder: RunFolder, policies: Mapping[int, Manifest]) -> set[int]:
    files = {file for note in read_fork_notes(folder) for file in note["files"]}
    return {version for version, policy in policies.items() if policy.file in files}


def _base_of(policies: Mapping[int, Manifest], version: int) -> int:
    """The policy that an adapter is put on, 0 for the initial model; itself for a policy without one."""
    while version in policies and has_adapter(policies[version]):
        version -= 1
    return version
