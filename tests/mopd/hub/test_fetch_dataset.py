"""Data sets by their hub names, with the hub's own client and `datasets` against a small hub on loopback."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from mopd.hub.names import dataset_name
from tests.mopd.hub.client import Fetched, fetch
from tests.mopd.hub.hub_server import Hub, serve_hub

REPO = "acme/sums"
CARD = b"""---
configs:
- config_name: main
  data_files:
  - {split: train, path: main/train-*}
  - {split: test, path: main/test-*}
- config_name: spoken
  sep: ;
  data_files:
  - {split: train, path: spoken/train.csv}
---
# Sums
"""
TRAIN = [{"question": "1 + 1?", "answer": "#### 2"}, {"question": "1 + 2?", "answer": "#### 3"}]
TEST = [{"question": "2 + 2?", "answer": "#### 4"}]
TRAIN_FILE, TEST_FILE = "main/train-00000-of-00001.parquet", "main/test-00000-of-00001.parquet"


def parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows as the bytes of a Parquet file."""
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), file)
    return file.getvalue()


def rows_of(fetched: Fetched) -> list[dict[str, Any]]:
    """What was loaded."""
    assert fetched.error == ""
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(fetched.folder).to_pylist()
    return rows


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with one data set of two configurations."""
    with serve_hub() as hub:
        spoken = b"question;answer\none, and one?;#### 2\n"
        files = {"README.md": CARD, TRAIN_FILE: parquet(TRAIN), TEST_FILE: parquet(TEST), "spoken/train.csv": spoken}
        hub.push(REPO, files, kind="dataset")
        yield hub


def test_a_split_is_loaded_and_no_other(hub: Hub, tmp_path: Path) -> None:
    fetched = fetch(f"hub:{REPO}#main/test", hub.url, tmp_path)
    assert fetched.name == f"hub:{REPO}#main/test@{hub.repositories['dataset', REPO].refs['main']}"
    assert rows_of(fetched) == TEST
    assert hub.loaded() == {"README.md", TEST_FILE}
    asked = len(hub.requests)
    assert rows_of(fetch(fetched.name, hub.url, tmp_path)) == TEST
    assert len(hub.requests) == asked
    assert rows_of(fetch(f"hub:{REPO}#main/train", hub.url, tmp_path)) == TRAIN


def test_the_card_says_how_files_are_read(hub: Hub, tmp_path: Path) -> None:
    spoken = [{"question": "one, and one?", "answer": "#### 2"}]
    assert rows_of(fetch(f"hub:{REPO}#spoken", hub.url, tmp_path)) == spoken


def test_without_a_card_file_names_tell_the_splits(hub: Hub, tmp_path: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in TRAIN).encode()
    hub.push("acme/plain", {"train.jsonl": lines, "test.jsonl": lines[:43]}, kind="dataset")
    assert rows_of(fetch("hub:acme/plain#train", hub.url, tmp_path)) == TRAIN


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ("", f"has several configurations; name one as hub:{REPO}#main (there are main, spoken)"),
        ("#main", f"has several splits; name one as hub:{REPO}#main/train (there are main/train, main/test)"),
        ("#main/dev", f"has no split 'dev'; name one as hub:{REPO}#main/train (there are main/train, main/test)"),
        ("#other/test", f"has no configuration 'other'; name one as hub:{REPO}#main (there are main, spoken)"),
    ],
)
def test_parts_that_say_too_little(hub: Hub, tmp_path: Path, part: str, problem: str) -> None:
    commit = hub.repositories["dataset", REPO].refs["main"]
    error = fetch(f"hub:{REPO}{part}", hub.url, tmp_path).error
    assert error == f"tasks.train: hub:{REPO}{part}@{commit}: {problem}"


def test_what_is_no_data_set(hub: Hub, tmp_path: Path) -> None:
    hub.push("acme/script", {"script.py": b"raise SystemExit"}, kind="dataset")
    assert "can't be read as a data set" in fetch("hub:acme/script", hub.url, tmp_path).error
    hub.push("acme/broken", {"train.parquet": b"no parquet"}, kind="dataset")
    assert "can't be read as a data set" in fetch("hub:acme/broken", hub.url, tmp_path).error
    error = fetch("hub:acme/absent", hub.url, tmp_path).error
    assert error.startswith("tasks.train: hub:acme/absent: is no public data set of")
    assert "mind the spelling" in error


@pytest.mark.parametrize("source", ["hub:", "hub:gsm8k", "hub:a/b/c", "hub:a/b#", "hub:a/b c"])
def test_names_that_are_none(source: str) -> None:
    with pytest.raises(ValueError, match="is no data set of the hub; write hub:org/name#config/split@revision"):
        dataset_name(source)
