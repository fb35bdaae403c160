"""What is missing is sent once, to the run in the tracker that has the rest; what went wrong is sent again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

import pytest

from flows.runtime.messages import silent
from flows.trackers import send
from flows.trackers.content.chapters import Outline, outlines
from flows.trackers.notes import Notes, SentRun
from flows.trackers.send import send_missing, tracked_run
from flows.trackers.tracker import Chapter, TrackedRun
from storage.errors import StorageError
from storage.runs import RUN_FILE, RunFolder
from tests.flows.trackers.content.test_numbers import CHAPTERS

NAME = "wandb"


class Fake:
    """Keeps what it is sent; fails at a chapter, or when it closes."""

    opened: list[TrackedRun]
    written: list[tuple[str, str]]
    fails_at: str = ""

    def __init__(self, run: TrackedRun) -> None:
        self.opened.append(run)
        self._id = run.id

    def write(self, chapter: Chapter) -> None:
        if chapter.name == self.fails_at:
            raise ConnectionError("away")
        self.written.append((self._id, chapter.name))

    def close(self) -> None:
        if self.fails_at == "close":
            raise ConnectionError("away")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    tracker = type("Tracker", (Fake,), {"opened": [], "written": []})
    monkeypatch.setattr(send, "load_tracker", lambda name: tracker)
    return tracker


def first(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the run had not made more yet."""

    def some(folder: RunFolder) -> Iterator[Outline]:
        return islice(outlines(folder), count)

    monkeypatch.setattr(send, "outlines", some)


def send_all(run: RunFolder) -> int:
    return send_missing(None, silent, run.store, NAME)


def test_a_resumed_run_goes_on_in_the_same_tracked_run(
    run: RunFolder, fake: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        first(4, patch)
        assert send_all(run) == 4
    assert send_all(run) == 5
    assert send_all(run) == 0
    assert [name for _, name in fake.written] == CHAPTERS
    assert len({id for id, _ in fake.written}) == 1
    assert [opened.num_chapters for opened in fake.opened] == [0, 4]
    of_round = 1 + 2 + 1  # its own point, one an optimizer step, and the table of completions
    assert [opened.num_rows for opened in fake.opened] == [0, 3 + of_round]


@pytest.mark.parametrize("fails_at", ["round 1", "close"])
def test_what_was_not_sent_to_the_end_is_sent_again(run: RunFolder, fake: type[Fake], fails_at: str) -> None:
    fake.fails_at = fails_at
    with pytest.raises(ConnectionError):
        send_all(run)
    assert Notes.read(run, NAME).runs[0].chapters == {}
    fake.fails_at, before = "", len(fake.written)
    assert send_all(run) == len(CHAPTERS)
    assert [name for _, name in fake.written[before:]] == CHAPTERS
    assert len({(opened.id, opened.num_rows) for opened in fake.opened}) == 1, "the same rows of the same run"


def test_what_came_since_is_sent_behind_what_was_cut_off(
    run: RunFolder, fake: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B goes by the numbers of the rows, TensorBoard by those of the chapters."""
    with monkeypatch.context() as patch:
        patch.setattr(send, "outlines", lambda folder: [one for one in outlines(folder) if one.name != CHAPTERS[0]])
        fake.fails_at = "close"
        with pytest.raises(ConnectionError):
            send_all(run)
    fake.fails_at = ""
    fake.written.clear()
    send_all(run)
    assert [name for _, name in fake.written] == [*CHAPTERS[1:], CHAPTERS[0]]


def test_a_long_run_is_noted_part_by_part(run: RunFolder, fake: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "CHAPTERS_AT_ONCE", 4)
    fake.fails_at = CHAPTERS[6]
    with pytest.raises(ConnectionError):
        send_all(run)
    assert list(Notes.read(run, NAME).runs[0].chapters) == CHAPTERS[:4]
    fake.fails_at, before = "", len(fake.written)
    assert send_all(run) == 5
    assert [name for _, name in fake.written[before:]] == CHAPTERS[4:]
    assert [opened.num_chapters for opened in fake.opened] == [0, 4, 4, 8]


def test_each_step_is_a_sign_of_life(run: RunFolder, fake: type[Fake]) -> None:
    """After what was looked for, before and after the run there is opened, after each chapter."""
    reports: list[object] = []
    send_missing(None, reports.append, run.store, NAME)
    assert len(reports) == 3 + len(CHAPTERS)


def test_a_note_that_is_damaged_is_one_line(run: RunFolder, fake: type[Fake]) -> None:
    run.store.replace("trackers/wandb.json", b'{"runs": [{"name": 1}]}')
    with pytest.raises(StorageError, match=r"trackers/wandb\.json is damaged .*: remove it"):
        send_all(run)


def test_settings_are_told_by_their_dotted_names(run: RunFolder, fake: type[Fake]) -> None:
    send_all(run)
    told = fake.opened[0].settings
    assert (told["generate.num_samples"], told["train.teacher.kind"], told["run"]) == (4, "ema", run.run_id)
    assert fake.opened[0].project == "mopd"


def test_nothing_of_the_machine_is_told(run: RunFolder, fake: type[Fake]) -> None:
    """Neither paths nor addresses, as on a card."""
    document = json.loads((run.path / RUN_FILE).read_text())
    document["settings"]["model"]["path"] = "/home/me/secret/base"
    document["settings"]["store"]["endpoint"] = "http://10.0.0.1:9000"
    document["lineage"] = {"path": "/home/me/secret/runs/parent", "run_id": "parent", "round": 1, "set": []}
    document["lineage"] |= {"earlier": [], "homes": {}}
    settings = tracked_run(RunFolder(run.store, document), SentRun("id", "name")).settings
    assert settings["model.path"] == "base"
    assert (settings["run"], settings["forked_from"], settings["forked_at_round"]) == (run.run_id, "parent", 1)
    assert not any(name.partition(".")[0] in ("place", "store", "report") for name in settings)
    assert not any(word in json.dumps(settings) for word in ("secret", "10.0.0.1", str(run.path)))
