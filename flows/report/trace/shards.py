"""A shard as a trace tells of it: its address, who made it from what, and whether it is still what the run counts."""

from __future__ import annotations

from typing import Any

from flows.plan.provenance import settings_digest, settings_slice
from flows.plan.shard import Shard
from flows.plan.stage import STAGES
from storage.lookup import data_name, manifest_names
from storage.manifests import KEY_LETTERS, Manifest, key_in
from storage.runs import RunFolder

Json = dict[str, Any]


def describe_shard(folder: RunFolder, shard: Shard, model: Json | None = None, *, with_settings: bool = False) -> Json:
    """What the plan says of a shard, and its manifest where there is one. `model`: what it was made with."""
    manifest, stage = shard.committed(folder), STAGES[shard.table]
    described: Json = {
        "table": shard.table,
        "stage": stage.name,
        "round": shard.round,
        "shard": shard.shard,
        "key": shard.key,
        "stage_version": stage.version,
        "settings_digest": settings_digest(shard.table, shard.settings),
        "model": model,
        "state": _state(folder, shard, manifest),
        "beside": _list_beside(folder, shard),
    }
    if with_settings:
        described["settings"] = settings_slice(shard.table, shard.settings)
    if manifest is not None:
        described |= _describe_manifest(folder, shard, manifest)
    return described


def mark_made_again(steps: list[Json]) -> None:
    """Say of each shard whether it was made after one that was made from it: then it was lost meanwhile."""
    shards = [step["shard"] for step in steps if step["shard"] and "created" in step["shard"]]
    for shard in shards:
        made_from_it = [other for other in shards if any(part["key"] == shard["key"] for part in other["parents"])]
        shard["made_again"] = any(other["created"] < shard["created"] for other in made_from_it)


def _describe_manifest(folder: RunFolder, shard: Shard, manifest: Manifest) -> Json:
    info = manifest.info
    return {
        # The key hashes version and settings: what the plan says of a shard under this key is what it was made by.
        "recorded": {name: info.get(name) for name in ("stage_version", "settings_digest")},
        "file": data_name(folder, manifest),
        "sha256": manifest.sha256,
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "home": folder.lineage["homes"][manifest.home]["path"] if manifest.home else None,
        "host": info.get("host"),
        "replica": info.get("replica"),
        "attempts": info.get("attempts"),
        "created": manifest.created,
        "seconds": info.get("seconds"),
        "versions": manifest.versions,
        "parents": [_describe_parent(folder, parent, manifest) for parent in shard.read],
        "made_again": False,
    }


def _describe_parent(folder: RunFolder, parent: Shard, child: Manifest) -> Json:
    """A shard that another was made from; `changed`: whether it holds something else now."""
    now = parent.committed(folder)
    used = {text.partition(":")[0] for text in child.parents}
    changed = now is not None and parent.key in used and now.as_parent not in child.parents
    place = {"table": parent.table, "round": parent.round, "shard": parent.shard, "key": parent.key}
    return {**place, "used": parent.key in used, "there": now is not None, "changed": changed}


def _state(folder: RunFolder, shard: Shard, manifest: Manifest | None) -> str:
    """`missing`, `out of date` (what it was made from has changed), `taken over` (a fork's) or `current`."""
    if manifest is None:
        return "missing"
    if shard.find(folder) is None:
        return "out of date"
    return "taken over" if manifest.home else "current"


def _list_beside(folder: RunFolder, shard: Shard) -> list[Json]:
    """Other shards of the same place, be they superseded, of other settings, or other contexts of the same rollouts."""
    own = shard.name_in(folder)
    prefix = own.rpartition("-")[0] if shard.table != "policies" else own.removesuffix(".json")
    superseded = {key[:KEY_LETTERS] for key in folder.superseded}
    beside = []
    for name in manifest_names(folder, shard.table, shard.round):
        key = key_in(name)
        if name != own and (name.startswith(f"{prefix}-") or shard.table == "policies"):
            beside.append({"manifest": name, "name": _name_of(folder, name), "superseded": key in superseded})
    return beside


def _name_of(folder: RunFolder, name: str) -> str | None:
    """The context that a manifest's rows were made under; None where it can't be read."""
    manifest = Manifest.read_whole(folder.store, name)
    return None if manifest is None else manifest.name
