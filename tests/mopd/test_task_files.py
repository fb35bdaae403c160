"""Task files: what is read, and the one line that each mistake gets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.settings import FileTasks, load_settings
from mopd.tasks import Task, load_tasks, read_task_file

ROOT = Path(__file__).parents[2]
GOOD = {"id": "a", "prompt": "1 + 1?", "answer": "2", "verifier": "last_number"}
USER = {"role": "user", "content": "1 + 1?"}


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name not in names}


def test_a_prompt_is_one_user_message(tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", GOOD)
    assert read_task_file(path) == [Task("a", [USER], "2", "last_number", "sums", {})]


def test_messages_dataset_and_metadata_are_kept(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, USER]
    line = {**without("prompt"), "messages": messages, "dataset": "mine", "metadata": {"level": 3}}
    assert read_task_file(write(tmp_path / "t", line)) == [
        Task("a", messages, "2", "last_number", "mine", {"level": 3})
    ]


def test_bom_blank_lines_crlf_and_line_separators_inside_strings(tmp_path: Path) -> None:
    odd = json.dumps({**GOOD, "prompt": "1 +\u2028 1?"}, ensure_ascii=False)
    path = write(tmp_path / "t", "\ufeff" + odd, "", "  ", json.dumps({**GOOD, "id": "b"}) + "\r", "")
    first, second = read_task_file(path)
    assert first.messages[0]["content"] == "1 +\u2028 1?"
    assert second.id == "b"


BROKEN = [
    ("{", "not valid JSON"),
    ("[" * 100_000, "not valid JSON"),
    ("[1]", "must be a JSON object, not a list"),
    (without("id"), "id: missing; add it"),
    (without("prompt"), "prompt, messages: missing; add one of them"),
    (without("answer"), "answer: missing; add it"),
    (without("verifier"), "verifier: missing; add it"),
    ({**GOOD, "answer": 2}, "answer: must be a string, not a number; put it in quotes"),
    ({**GOOD, "answer": ""}, "answer: empty; fill it in"),
    ({**GOOD, "answer": "four"}, "answer: 'four' is not one number, as last_number wants"),
    ({**GOOD, "answer": "3 or 4", "verifier": "only_number"}, "answer: '3 or 4' is not one number, as only_number"),
    ({**GOOD, "id": None}, "id: must be a string, not null; put it in quotes"),
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
        read_task_file(path)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_missing_empty_a_folder_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, message in [
        ("missing", "cannot be read (No such file"),
        ("empty", "holds no task"),
        (".", "cannot be read (Is a directory"),
        ("binary", "not UTF-8 (byte 0); save the file as UTF-8"),
    ]:
        with pytest.raises(InputError, match=re.escape(message)):
            read_task_file(tmp_path / name)


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
