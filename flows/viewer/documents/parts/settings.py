"""The settings of runs: what differs from the defaults, and from run to run."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from flows.report.table import Row, Table
from flows.viewer.documents.viewed import Json
from mopd.settings import Settings
from mopd.settings.tree import differences, flatten

ABSENT = "absent"


def settings_document(settings: Settings, *, without: Collection[str] = ()) -> Json:
    """What differs from the defaults first, then all of them, but for some groups."""
    changed = differences(Settings(), settings)
    rows: list[Row] = [
        {"setting": name, "value": _text(value), "default": _text(default)}
        for name, (default, value) in changed.items()
    ]
    every: list[Row] = [{"setting": name, "value": _text(value)} for name, value in flatten(settings).items()]
    every = [row for row in every if str(row["setting"]).partition(".")[0] not in without]
    return {"changed": Table.of(rows).document(), "all": Table.of(every).document()}


def settings_that_differ(settings: Mapping[str, Settings]) -> Json:
    """A row a setting that isn't the same in all runs, a column a run."""
    flat = {run: flatten(values) for run, values in settings.items()}
    names = dict.fromkeys(name for values in flat.values() for name in values)
    rows: list[Row] = [
        {"setting": name, **{run: _text(values[name]) if name in values else ABSENT for run, values in flat.items()}}
        for name in names
        if len({json.dumps(values.get(name)) for values in flat.values()}) > 1
    ]
    return Table.of(rows).document()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
