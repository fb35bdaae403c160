"""The page as a file: opens from disk, and nothing is lost by writing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.viewer.file import write_report
from mopd.errors import InputError
from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.storage.storage_samples import fill

pytestmark = pytest.mark.browser


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run", {"settings": parse_settings({}).model_dump(mode="json")})
    fill(folder)
    return folder


def test_it_opens_from_disk(run: RunFolder, tmp_path: Path, tab: Any) -> None:
    tab.goto(write_report([run], tmp_path / "report.html").as_uri())
    assert tab.get_by_role("heading", level=1).text_content() == run.run_id


def test_only_a_report_is_replaced(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "notes.html"
    out.write_text("<p>notes")
    with pytest.raises(InputError, match="is there and is no report"):
        write_report([run], out)
    assert out.read_text() == "<p>notes"
    out.unlink()
    write_report([run], out)
    write_report([run], out)
