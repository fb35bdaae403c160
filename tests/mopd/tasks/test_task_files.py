"""Tasks from files of our own format: what is read, the one line that each mistake gets, and what is in both files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.settings import load_settings
from mopd.settings.tasks import FileTasks
from mopd.tasks.draw import Task, load_tasks, read_tasks
from mopd.tasks.files import read_good_tasks, sources_digest
from mopd.verifiers import Problem, find_verifier

ROOT = Path(__file__).parents[3]
GOOD = {"id": "a", "prompt": "1 + 1?", "answer": "2", "verifier": "last_number"}
USER = {"role": "user", "content": "1 + 1?"}


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def read_tasks_of(path: Path) -> list[Task]:
    return read_tasks(str(path))


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name not in names}


def test_a_prompt_is_one_user_message(tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", GOOD)
    assert read_tasks_of(path) == [Task("a", [USER], "2", "last_number", "sums", {})]


def test_messages_dataset_and_metadata_are_kept(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, USER]
    line = {**without("prompt"), "messages": messages, "dataset": "mine", "metadata": {"level": 3}}
    assert read_tasks_of(write(tmp_path / "t", line)) == [Task("a", messages, "2", "last_number", "mine", {"level": 3})]


def test_bom_blank_lines_crlf_and_line_separators_inside_strings(tmp_path: Path) -> None:
    odd = json.dumps({**GOOD, "prompt": "1 +\u2028 1?"}, ensure_ascii=False)
    path = write(tmp_path / "t", "\ufeff" + odd, "", "  ", json.dumps({**GOOD, "id": "b"}) + "\r", "")
    first, second = read_tasks_of(path)
    assert first.messages[0]["content"] == "1 +\u2028 1?"
    assert second.id == "b"


BROKEN = [
    ("{", "not valid JSON"),
    ("[" * 100_000, "not valid JSON"),
    ("[1]", "must be a JSON object, not a list"),
    (without("prompt"), "prompt, messages: missing; add one of them"),
    (without("answer"), "answer: missing; add it"),
    (without("verifier"), "verifier: missing; add it"),
    ({**GOOD, "answer": 2}, "answer: must be a string, not a number; put it in quotes"),
    ({**GOOD, "answer": ""}, "answer: empty; fill it in"),
    ({**GOOD, "answer": "four"}, "answer: 'four' is not one number, as last_number wants"),
    ({**GOOD, "answer": "3 or 4", "verifier": "only_number"}, "answer: '3 or 4' is not one number, as only_number"),
    ({**GOOD, "id": 7}, "id: must be a string, not a number; put it in quotes"),
    ({**GOOD, "id": " "}, "id: empty; fill it in"),
    ({**GOOD, "answer": None}, "answer: missing; add it"),
    ({**GOOD, "tests": 3}, "tests: must be a string, not a number"),
    ('{"id": "a", "prompt": "x", "metadata": {"level": NaN}}', "not valid JSON (NaN is no JSON number)"),
    ({"id": "a", "price": 3}, "fields id, price: no format that is known; docs/tasks.md lists those that are"),
    ({**GOOD, "verifier": "code"}, "tests: missing; add it"),
    ({**GOOD, "verifier": "code", "tests": "["}, "tests: not valid JSON"),
    ({**GOOD, "prompt": ["1 + 1?"]}, "prompt: must be a string, not a list; put it in quotes"),
    ({**GOOD, "prompt": " \n"}, "prompt: empty; fill it in"),
    ({**GOOD, "messages": [USER]}, "prompt, messages: both given; keep one of them"),
    ({**without("prompt"), "messages": []}, "messages: must be a list of at least one message"),
    ({**without("prompt"), "messages": "hi"}, "messages: must be a list of at least one message"),
    ({**without("prompt"), "messages": ["hi"]}, "messages[0]: must have role and content"),
    ({**without("prompt"), "messages": [{**USER, "name": "x"}]}, "messages[0]: must have role and content"),
    ({**without("prompt"), "messages": [{**USER, "role": "tool"}]}, "messages[0]: role: 'tool' is unknown; choose one"),
    ({**without("prompt"), "messages": [{**USER, "content": ""}]}, "messages[0]: content: empty; fill it in"),
    (
        {**without("prompt"), "messages": [USER, {**USER, "role": "assistant"}]},
        "messages: must end with a user message",
    ),
    ({**GOOD, "verifier": "nope"}, "verifier: 'nope' is unknown; choose one of "),
    ({**GOOD, "verifer": "x"}, "verifer: no such field; put it under metadata or remove it"),
    ({**GOOD, "metadata": []}, "metadata: must be an object, not a list"),
    ('{"id": "\\ud800", "prompt": "x", "answer": "1", "verifier": "last_number"}', "holds half a surrogate pair"),
    ({**GOOD, "id": "first"}, "id: 'first' is already on line 1; give every task its own id"),
]


@pytest.mark.parametrize(("line", "message"), BROKEN, ids=[message[:45] for _, message in BROKEN])
def test_a_broken_line_is_named(line: dict[str, Any] | str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "tasks.jsonl", {**GOOD, "id": "first"}, "", line)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}:3: {message}')}") as raised:
        read_tasks_of(path)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_missing_empty_a_folder_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, message in [
        ("missing", "cannot be read (No such file"),
        ("empty", "holds no task"),
        (".", "holds no Parquet file, and `datasets` did not save it"),
        ("binary", "not UTF-8 (byte 0); save the file as UTF-8"),
    ]:
        with pytest.raises(InputError, match=re.escape(message)):
            read_tasks_of(tmp_path / name)


def test_train_and_held_out_files(tmp_path: Path) -> None:
    train = write(tmp_path / "train", GOOD)
    heldout = write(tmp_path / "heldout", {**GOOD, "id": "b", "prompt": "1 + 2?"})
    split = load_tasks(FileTasks(kind="file", train=str(train), heldout=str(heldout)), seed=0)
    assert ([task.id for task in split.train], [task.id for task in split.heldout]) == (["a"], ["b"])
    assert load_tasks(FileTasks(kind="file", train=str(train)), seed=0).heldout == []


TWINS = {
    "same id": {**GOOD, "prompt": "1 + 2?"},
    "same prompt": {**GOOD, "id": "b"},
    "other case and spaces": {**GOOD, "id": "b", "prompt": " what IS\n1 + 1? "},
    "other system message": {
        **without("prompt"),
        "id": "b",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 1 + 1?"}],
    },
}


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_a_held_out_task_that_is_trained_on_is_refused(twin: dict[str, Any], tmp_path: Path) -> None:
    asked = GOOD["prompt"] if twin.get("prompt") == GOOD["prompt"] else "What is 1 + 1?"
    train, heldout = write(tmp_path / "train", {**GOOD, "prompt": asked}), write(tmp_path / "heldout", twin)
    with pytest.raises(InputError, match=r"is held out and also trained on \('a' in .*train\); remove it from one"):
        load_tasks(FileTasks(kind="file", train=str(train), heldout=str(heldout)), seed=0)


def test_overlap_may_be_allowed_and_no_id_is_on_both_sides(tmp_path: Path) -> None:
    """Rows of a run are found by round and prompt id, so one id must not mean two prompts."""
    train = write(tmp_path / "train", GOOD, {**GOOD, "id": "b"})
    heldout = write(tmp_path / "heldout", GOOD, {**GOOD, "id": "c"})
    split = load_tasks(FileTasks(kind="file", train=str(train), heldout=str(heldout), overlap="allow"), seed=0)
    assert [task.id for task in split.train] == ["a", "b"]
    assert [task.id for task in split.heldout] == ["a@heldout", "c"]
    assert split.heldout[0].messages == split.train[0].messages


def test_the_same_last_message_after_other_questions_is_another_task(tmp_path: Path) -> None:
    def about(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes?"}, USER]

    train = write(tmp_path / "train", {**without("prompt"), "messages": about("A text.")})
    heldout = write(tmp_path / "heldout", {**without("prompt"), "id": "b", "messages": about("Another text.")})
    assert len(load_tasks(FileTasks(kind="file", train=str(train), heldout=str(heldout)), seed=0).heldout) == 1


def test_the_example_of_own_tasks_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = load_settings("examples/own_tasks.yaml")
    split = load_tasks(settings.tasks, settings.seed)
    assert len(split.train) >= settings.generate.num_prompts
    assert split.heldout


def test_all_bad_rows_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t", GOOD, "{", {**GOOD, "id": "b", "answer": "two"}, {**GOOD, "id": "c"})
    with pytest.raises(InputError, match=r"t:2: not valid JSON .*\(and 1 more bad rows; mopd tasks import --skip-bad"):
        read_tasks_of(path)
    tasks, bad = read_good_tasks(str(path))
    assert [task.id for task in tasks] == ["a", "c"]
    assert [row.where for row in bad] == [f"{path}:2", f"{path}:3"]


def test_ids_are_made_from_the_content_and_numbered_where_a_row_repeats(tmp_path: Path) -> None:
    other = {**without("id"), "prompt": "1 + 2?", "answer": "3"}
    first, second, third = read_tasks_of(write(tmp_path / "t", without("id"), other, without("id")))
    assert first.id.startswith("t-")
    assert third.id == f"{first.id}-2"
    assert read_tasks_of(write(tmp_path / "t", other, without("id"))) == [second, first]


def read_twice(record: dict[str, Any]) -> Any:
    """A reader: of every form that a user's may have, by the row's `form`."""
    forms: dict[str, Any] = {
        "dict": {"prompt": record["ask"], "answer": "2", "verifier": None},
        "task": Task("mine", [USER], "2", "", "d", {"level": 1}),
        "text": "1 + 1?",
        "field": {"question": record["ask"]},
        "id": Task(7, [USER], "2", "last_number", "d"),  # type: ignore[arg-type]
    }
    return forms[record["form"]]


READER = f"{__name__}:read_twice"


def test_a_reader_and_a_verifier_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path / "t", {"form": "dict", "ask": "1 + 1?"}, {"form": "task", "ask": ""})
    first, second = read_tasks(str(path), reader=READER, verifier="first_number")
    assert (first.messages, first.answer, first.verifier, first.dataset) == ([USER], "2", "first_number", "t")
    assert second == Task("mine", [USER], "2", "first_number", "d", {"level": 1})
    settings = FileTasks(kind="file", train=str(path), reader=READER, verifier="first_number")
    assert load_tasks(settings, seed=0).train == [first, second]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("text", "returned a str; return a Task or a dict of its fields"),
        ("nothing", "raised KeyError: 'nothing'; mend the reader or the row"),
        ("field", "question: no such field"),
        ("id", "id: must be a string, not a number"),
    ],
)
def test_what_a_reader_gets_wrong_is_said_of_the_row(form: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t", {"form": "task", "ask": ""}, {"form": form, "ask": ""})
    with pytest.raises(InputError, match=f"t:2: .*{re.escape(message)}"):
        read_tasks(str(path), reader=READER, verifier="last_number")


def test_readers_and_verifiers_that_are_not_there(tmp_path: Path) -> None:
    path = str(write(tmp_path / "t", GOOD))
    with pytest.raises(InputError, match="'nowhere:read' can't be imported as a reader"):
        read_tasks(path, reader="nowhere:read")
    with pytest.raises(InputError, match=r"^'nope' is unknown; choose one of"):
        read_tasks(path, verifier="nope")


def test_the_digest_notices_every_change_of_content(tmp_path: Path) -> None:
    path = write(tmp_path / "t", GOOD)
    settings = FileTasks(kind="file", train=str(path))
    before = sources_digest(settings)
    assert sources_digest(settings) == before
    write(path, {**GOOD, "answer": "3"})
    assert sources_digest(settings) != before
    first, second = (FileTasks(kind="file", train=f"numbers:sum?size=3&seed={seed}") for seed in (0, 1))
    assert sources_digest(first) == sources_digest(first)
    assert sources_digest(first) != sources_digest(second)
    with pytest.raises(InputError, match="cannot be read"):
        sources_digest(FileTasks(kind="file", train=str(tmp_path / "nowhere")))


def test_the_example_of_an_own_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / "examples")
    settings = load_settings("examples/own_verifier.yaml")
    task = load_tasks(settings.tasks, settings.seed).train[0]
    assert task.messages == [{"role": "user", "content": "Name a number that divides 12, other than 1 and 12."}]
    judge, problem = find_verifier(task.verifier).judge, Problem(task.answer, task.tests, task.metadata)
    replies = {"4": 1.0, "It is 12.": 0.0, "5": 0.0, "None.": 0.0, "2.5": 0.0, "9" * 5000: 0.0}
    assert {reply: judge(reply, problem).reward for reply in replies} == replies
