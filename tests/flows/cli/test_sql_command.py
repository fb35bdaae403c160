"""Promises: `mopd sql` asks one run or several, by a statement or by a query's name; what it can't ask is one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli import main
from storage.runs import RUN_FILE, RunFolder
from tests.object_servers import ENVIRONMENT, moto, new_bucket
from tests.storage.storage_samples import commit, make_rows

SETTINGS = {"seed": 1}
COUNTED = "SELECT run, count(*) FROM rollouts GROUP BY run ORDER BY run"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two runs, the first of which has twice as many rollouts."""
    for name, prompts in (("one", ("a", "b")), ("two", ("a",))):
        run = RunFolder.create(tmp_path / "runs" / name, {"settings": SETTINGS})
        commit(run, "rollouts", make_rows("rollouts", name, prompts=prompts))
    (tmp_path / "runs" / "notes").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The answer to `mopd sql WORDS` as CSV, without its heading."""
    assert main(["sql", *words, "--format", "csv"]) == 0
    return capsys.readouterr().out.strip().partition("\n")[2]


@pytest.mark.parametrize("words", [["runs"], ["runs/"], ["runs/*"], ["runs/one", "runs/two"], ["runs/one", "runs"]])
def test_several_runs_are_named_in_any_way(runs: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "--all", *words, COUNTED) == "one,4\ntwo,2"


def test_options_stand_anywhere(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "runs/one", "--format", "csv", COUNTED]) == 0
    assert main(["sql", "--format", "csv", "runs/one", COUNTED]) == 0
    assert main(["sql", "--all", "runs/one", "--format", "csv", "runs/two", COUNTED]) == 0
    one = ["run,count_star()", "one,4"]
    assert capsys.readouterr().out.splitlines() == [*one, *one, *one, "two,2"]


def test_a_pattern_leaves_out_what_it_does_not_fit(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "--all", "runs/t*", COUNTED) == "two,2"


def test_copies_are_told_apart_by_their_folders(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(runs / "one", runs / "copy")
    assert asked(capsys, "--all", "runs", COUNTED) == "copy,4\none,4\ntwo,2"
    shutil.copytree(runs / "one", runs / "more" / "one")
    rows = asked(capsys, "--all", "runs", "runs/more", COUNTED).splitlines()
    assert rows == [f"{runs}/more/one,4", f"{runs}/one,4", "copy,4", "two,2"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty place in a bucket; the environment leads to it."""
    with moto() as endpoint:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        yield f"s3://{new_bucket(endpoint)}/runs"


def test_runs_in_a_bucket_are_asked_beside_others(runs: Path, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder.create(f"{bucket}/far", {"settings": SETTINGS})
    commit(run, "rollouts", make_rows("rollouts", "far", prompts=("a",)))
    for word in (bucket, f"{bucket}/f*", f"{bucket}/far"):
        assert asked(capsys, "--all", "runs", word, COUNTED) == "far,2\none,4\ntwo,2"


def test_a_query_has_a_name_and_parameters(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "runs/one", "--named", "staleness") == "one,0,0,4"
    assert asked(capsys, "--all", "runs", "--named", "two_runs", "--param", "a=one", "--param", "b=two").startswith(
        "0,"
    )
    listed = json.loads(_printed(capsys, "--list", "--format", "json"))
    assert {"name": "staleness", "parameters": ""} in [
        {name: row[name] for name in ("name", "parameters")} for row in listed
    ]


def _printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["sql", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a run and a statement, or --named NAME"),
        (["runs/one"], "runs/one: give a run and a statement, or --named NAME"),
        (["--named", "staleness"], "give a run and a statement"),
        (["runs/one", "runs/two", "SELECT 1"], "2 runs are named; to ask several: mopd sql --all RUN RUN"),
        (["--all", "runs/notes", "SELECT 1"], "runs/notes: is no run and holds none; name runs, a folder of runs"),
        (["runs/one", "SELECT 1", "--named", "staleness"], "--named: takes the place of the statement"),
        (["--all", "runs/one/run.json", "SELECT 1"], "runs/one/run.json: is no run and holds none"),
        (["--all", "ru*/one", "SELECT 1"], "ru*/one: a pattern may stand for the last part alone"),
        (["runs/one", "--named", "staleness", "--param", "round"], "--param round: write KEY=VALUE"),
        (["runs/one", "SELECT 1", "--param", "a=1"], "--param: is for --named; write the value into the statement"),
        (["runs/one", "--named", "stalenes"], "no query is named stalenes (did you mean staleness?)"),
        (["runs/one", "--named", "slowest_shards", "--param", "limit=x"], "parameter limit is of kind integer"),
        (["runs/one", "--named", "two_runs"], "two_runs: parameter a is missing"),
        (["runs/one", "SELECT 1", "--fromat", "csv"], "--fromat: not taken by this command"),
        (["runs/one", "SELECT $a"], "SQL: "),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    runs: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", *words]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert message in shown.err and shown.err.count("\n") == 1


def test_runs_of_different_formats_are_not_asked_together(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = runs / "two" / RUN_FILE
    file.write_text(file.read_text().replace('"format": 2', '"format": 1'))
    assert main(["sql", "--all", "runs", "SELECT 1"]) == 2
    said = capsys.readouterr().err
    assert f"{runs}/two has run format 1, this mopd reads format 2" in said
    assert "or leave it out: mopd sql --all runs/one …" in said and said.count("\n") == 1
