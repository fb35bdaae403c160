"""`mopd tasks import` and `mopd tasks show`: files that are whole and read back, tables, one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli import main
from mopd.tasks.files import read_tasks

GOOD = {"id": "a", "prompt": "1 + 1?", "answer": "2", "verifier": "last_number"}
BAD = ["{", json.dumps({**GOOD, "id": "x", "answer": "two"}), json.dumps({**GOOD, "id": "y", "answer": "some"})]
TESTS = {"testtype": "stdin", "inputs": ["1", "2"], "outputs": ["1", "2"]}
CODE = {"id": "c", "prompt": "Echo.", "verifier": "code", "tests": TESTS}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty sums."""
    path = tmp_path / "in" / "sums.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(json.dumps({**GOOD, "id": f"{n}", "prompt": f"1 + {n}?"}) for n in range(40)))
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["tasks", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_import_writes_what_reads_back_equal(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "out.jsonl"
    assert main(["tasks", "import", str(source), "--out", str(out)]) == 0
    assert read_tasks(str(out)) == read_tasks(str(source))
    assert [path.name for path in out.parent.iterdir()] == ["out.jsonl"]
    assert capsys.readouterr().out == f"{out}: 40 tasks\n"


def test_a_split_is_the_same_every_time(source: Path, tmp_path: Path) -> None:
    options = ["--split", "train=0.5,test=0.5", "--seed", "3"]
    written = []
    for name in ("a", "b"):
        assert main(["tasks", "import", str(source), "--out", str(tmp_path / f"{name}.jsonl"), *options]) == 0
        written.append([(tmp_path / f"{name}-{part}.jsonl").read_bytes() for part in ("train", "test")])
    assert written[0] == written[1]
    assert len(b"".join(written[0]).splitlines()) == 40


def test_hidden_tests_are_in_the_file_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps(CODE))
    out = tmp_path / "out.jsonl"
    assert main(["tasks", "import", str(tmp_path / "in.jsonl"), "--out", str(out), "--hide-tests", "0.5"]) == 0
    assert f"{out}: 1 tasks with 1 tests" in (said := capsys.readouterr().out)
    assert "out-all.jsonl: 1 tasks with 2 tests" in said


def test_bad_rows_are_left_out_and_counted_by_reason(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_text("\n".join([*BAD, source.read_text()]))
    assert "sums.jsonl:1: not valid JSON" in refused(capsys, "import", source, "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()
    assert main(["tasks", "import", str(source), "--out", str(tmp_path / "o"), "--skip-bad"]) == 0
    first, second, third, *_ = capsys.readouterr().out.splitlines()
    assert first == "left out 3 of 43 rows"
    assert second.startswith("  2: answer: 'two' is not one number")
    assert second.endswith(f"(first: {source}:2)")
    assert third.startswith("  1: not valid JSON")
    assert len(read_tasks(str(tmp_path / "o"))) == 40


def test_files_that_are_there_are_kept(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "o-test.jsonl").write_text("mine")
    arguments = ["import", source, "--out", tmp_path / "o.jsonl", "--split", "train=0.5,test=0.5"]
    assert "o-test.jsonl: is there already; name another file, or give --force" in refused(capsys, *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "o-test.jsonl"]
    assert main(["tasks", *map(str, arguments), "--force"]) == 0
    assert (tmp_path / "o-test.jsonl").read_text() != "mine"


def test_a_full_disk_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:5])
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("flows.cli.actions.task_sources.write_durably", full)
    arguments = ["import", str(source), "--out", str(tmp_path / "o.jsonl"), "--split", "train=0.5,test=0.5"]
    assert main(["tasks", *arguments]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hide-tests", "1.5"], "--hide-tests 1.5: must lie between 0 and 1"),
        (["--hide-tests", "0.5"], "--hide-tests: no task has tests"),
        (["--split", "train=0.5"], "the shares add up to 0.5"),
        (["--reader", "nowhere:read"], "'nowhere:read' can't be imported as a reader"),
        (["--verifier", "nope"], "'nope' is unknown"),
        (["--verifier", "code"], "sums.jsonl:1: tests: missing; add it"),
    ],
)
def test_impossible_options(
    options: list[str], message: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, "import", source, "--out", tmp_path / "o", *options)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_source_without_a_good_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t").write_text("\n".join(BAD))
    assert "none of its 3 rows is a task; the first: not valid JSON" in refused(
        capsys, "show", tmp_path / "t", "--skip-bad"
    )
    assert "cannot be read" in refused(capsys, "show", tmp_path / "nowhere")


def test_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [GOOD, {**GOOD, "id": "b", "prompt": "1 +\n1?"}, CODE]
    (tmp_path / "t").write_text("\n".join(map(json.dumps, rows)))
    assert main(["tasks", "show", str(tmp_path / "t"), "--num", "1"]) == 0
    shown = capsys.readouterr().out
    names, _, sums, code = shown.splitlines()[:4]
    assert names.split("  ")[0] == "dataset"
    assert sums.split() == ["t", "last_number", "2", "1", "6", "6", "-", "-", "-", "0.0", "%"]
    assert code.split() == ["t", "code", "1", "1", "5", "5", "2", "2", "2", "100.0", "%"]
    assert "[user]\n1 + 1?\n[answer]\n2\n" in shown
    assert "Echo." not in shown
    assert main(["tasks", "show", str(tmp_path / "t"), "--num", "9"]) == 0
    assert "[2 tests, stdin; the first]\n1\n-> 1\n" in capsys.readouterr().out
