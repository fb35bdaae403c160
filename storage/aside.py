"""Setting aside what is damaged, so that the next start makes it again: RUN/damaged/TIME/ has it, and a note of why."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from storage.errors import StorageError
from storage.index import INDEX
from storage.lookup import read_manifests
from storage.manifests import Manifest, round_of
from storage.runs import RunFolder

DAMAGED = "damaged"
NOTE_FILE = "why.json"


def set_aside(run: RunFolder, reasons: Mapping[str, Collection[str]]) -> str:
    """Move manifests, with the data that only they name, and files of the index; returns the folder they are in.

    `reasons`: by the name of each, what is wrong with it. The caller holds the run. Killed in between, this leaves data
    that no manifest names, which goes at the next start. Of data that is too large to be moved in a bucket, which stays
    there without a name, the same.
    """
    place = f"{DAMAGED}/{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    note = {name: list(said) for name, said in reasons.items()}
    run.store.replace(f"{place}/{NOTE_FILE}", json.dumps(note, indent=1, ensure_ascii=False).encode())
    data = {name: _data_of(run, name, reasons) for name in reasons}
    for name in reasons:
        run.store.move(name, f"{place}/{name}")
    for file in dict.fromkeys(file for file in data.values() if file):
        if run.store.stat(file) is not None or run.store.list_files(f"{file}/"):
            run.store.move(file, f"{place}/{file}")
    return place


def _data_of(run: RunFolder, name: str, gone: Collection[str]) -> str:
    """The data of a manifest, where no other one names it too; "" for other files, and for one that can't be read."""
    round = round_of(name)
    if round is None or name.startswith(f"{INDEX}/"):
        return ""
    manifest = Manifest.read_whole(run.store, name)
    if manifest is None or manifest.home:
        return ""
    try:
        others = read_manifests(run, manifest.table, round)
    except StorageError:
        raise
    except (ValueError, TypeError):  # another one is damaged, and may name the same
        return ""
    named = {other.file for file, other in others.items() if file not in gone}
    return "" if manifest.file in named else manifest.file
