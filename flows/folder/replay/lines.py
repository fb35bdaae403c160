"""A run that follows another plan from a round on: what that doesn't need is superseded, what it finds comes back.

Nothing is moved. run.json alone says which shards are superseded, which names rows have since, and where the policies
of a round lie; it is written once, so that a run is before or behind it, whenever it is killed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from storage.index import Listing
from storage.manifests import POLICIES, TABLES, Manifest, round_of
from storage.runs import RunFolder

Document = dict[str, Any]
_LINE = re.compile(rf"{POLICIES}/round=\d+(?:-(\d+))?(?:\.json|/.*)?")


def follow(
    folder: RunFolder, document: Document, round: int, *, restored: Collection[str] = (), new_line: int | None = None
) -> RunFolder:
    """The run with this document, not written yet; its plan may be another one from `round` on.

    `restored`: keys of what comes back, or stays, beside what the new plan has. `new_line`: a number that no line of
    the run has, for the policies that neither plan has yet; without it they go where the document says.
    """
    before, after = (_shards_from(RunFolder(folder.store, each), round) for each in (folder.document, document))
    there = read_committed(folder, round)
    stays = after.keys() | set(restored)
    stale = _find_stale(folder, there.values(), before, stays)
    said: Document = {
        "superseded": sorted((folder.superseded | stale | before.keys()) - stays),
        "renamed": _choose_names(there.values(), before, after, document.get("renamed", {})),
        "lines": _choose_lines(folder, there, before, after, document.get("lines", {}), new_line),
    }
    others = {name: value for name, value in document.items() if name not in said}
    return replace(folder, document={**others, **{name: value for name, value in said.items() if value}})


def read_committed(folder: RunFolder, round: int) -> dict[str, Manifest]:
    """All manifests of the rounds from `round` on that can be read, superseded ones too, by their files' names."""
    found: dict[str, Manifest | None] = {}
    for table in TABLES:
        listing = Listing(folder.store, folder.store.list_files(f"{table}/"))
        names = [name for name in listing.entries if _is_from(name, round)]
        found |= {name: Manifest.read_whole(listing, name) for name in names}
    return {name: manifest for name, manifest in found.items() if manifest is not None}


def _is_from(name: str, round: int) -> bool:
    number = round_of(name)
    return number is not None and number >= round


def _shards_from(folder: RunFolder, round: int) -> dict[str, Shard]:
    return {shard.key: shard for shard in RunPlan.of(folder).shards() if shard.round >= round}


def _find_stale(
    folder: RunFolder, there: Iterable[Manifest], before: Collection[str], stays: Collection[str]
) -> set[str]:
    """Keys of what is in the tables and doesn't stay there: of the run itself, and of all that was made from that."""
    others = [one for one in there if one.key not in stays and one.key not in folder.superseded]
    stale: set[str] = set()
    found = {one.key for one in others if one.key in before or not folder.renamed.get(one.key, one.name)}
    while found:
        stale |= found
        parents = {one.key: {parent.partition(":")[0] for parent in one.parents} for one in others}
        found = {key for key, made_from in parents.items() if made_from & stale} - stale
    return stale


def _choose_names(
    there: Iterable[Manifest], before: Mapping[str, Shard], after: Mapping[str, Shard], renamed: Mapping[str, str]
) -> dict[str, str]:
    """What rows are called that were made under another name than the new plan has for them."""
    made_as = {one.key: one.name for one in there}
    planned = {key: after[key].name for key in made_as.keys() & after.keys()}
    unchanged = {key for key, name in planned.items() if key in before and before[key].name == name}
    names = {**renamed, **{key: name for key, name in planned.items() if key not in unchanged}}
    return {key: name for key, name in sorted(names.items()) if name != made_as.get(key)}


def _choose_lines(
    folder: RunFolder,
    there: Mapping[str, Manifest],
    before: Mapping[str, Shard],
    after: Mapping[str, Shard],
    lines: Mapping[str, int],
    new_line: int | None,
) -> dict[str, int]:
    """The line of each round's policies: where the planned one lies already, else a new one, where there is one."""
    policies = {shard.round: shard.key for shard in after.values() if shard.table == POLICIES}
    rounds = policies.keys() | {shard.round for shard in before.values() if shard.table == POLICIES}
    rounds |= {manifest.round for manifest in there.values() if manifest.table == POLICIES}
    lying = {one.key: _line_of(folder, name, one) for name, one in there.items() if one.table == POLICIES}
    chosen = dict(lines)
    for round in rounds:
        key = policies.get(round)
        if key in lying:
            chosen[str(round)] = lying[key]
        elif new_line is not None and key not in before:
            chosen[str(round)] = new_line
    return {round: line for round, line in sorted(chosen.items()) if line}


def _line_of(folder: RunFolder, name: str, manifest: Manifest) -> int:
    """The line that a policy's manifest is of: in a bucket by its name, in a folder by that of the policy's folder."""
    if folder.store.renames and manifest.home:
        return 0  # nothing of ours lies there
    match = _LINE.fullmatch(manifest.file if folder.store.renames else name)
    return int(match[1] or 0) if match else 0
