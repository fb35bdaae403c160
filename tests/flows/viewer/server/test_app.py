"""Promises: every address gives the run's document, or one line that says why not; SQL reads, and has an end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from flows.report.report import Report
from flows.report.table import Table
from flows.viewer.documents.group import group_document
from flows.viewer.documents.prompts import prompts
from flows.viewer.documents.served import SERVED
from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.server import queries
from flows.viewer.server.app import make_app
from flows.viewer.server.live import LiveRun
from flows.viewer.server.runs import ServedRuns
from storage.errors import StorageError
from storage.runs import RunFolder
from tests.flows.viewer.server.conftest import HOST, TOKEN, make_run

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 3"


def ask_sql(client: TestClient, sql: str = "", run: str | None = "run", **question: Any) -> dict[str, Any]:
    asked = {"run": run, "sql": sql, "named": None, "parameters": {}, **question}
    answer: dict[str, Any] = client.post("/api/sql", json=asked).json()
    return answer


def test_the_page_has_no_data_and_is_for_everybody(client: TestClient, run: RunFolder) -> None:
    client.headers.pop("Authorization")
    shown = client.get("/").text
    assert "connect-src 'self';" in shown and 'id="view"' in shown
    assert [mark for mark in (run.address, 'id="directory"', 'id="block-', TOKEN) if mark in shown] == []
    assert client.get("/api/directory").status_code == 403


def test_the_directory(client: TestClient, run: RunFolder) -> None:
    directory = client.get("/api/directory").json()
    assert directory["runs"] == [{"id": "run", "name": "run", "address": run.address}]
    assert (directory["made"], directory["left_out"], directory["edition"]) == (None, [], 1)


def test_documents_are_those_of_the_file(client: TestClient, run: RunFolder) -> None:
    viewed = ViewedRun(run, "run")
    assert client.get("/api/run/run/group?round=0&prompt=a").json() == group_document(viewed, 0, "a")
    page = client.get("/api/run/run/prompts?start=1&length=1").json()
    assert (page["rows"], page["total"]) == (prompts(viewed)["rows"][1:], 2)


@pytest.mark.parametrize(
    ("path", "status", "line"),
    [
        ("/nothing", 404, "/nothing is no address: the page is at /"),
        ("/api/nothing", 404, "there is no document nothing; those that there are: pairs"),
        ("/api/run/run/nothing", 404, "there is no document nothing; those that there are: overview, row, "),
        ("/api/run/other/overview", 410, "no run that is served is called other: it was removed"),
        ("/api/run/run/group?round=one&prompt=a", 400, "round=one: give a whole number from 0 to "),
        ("/api/run/run/group?round=-1&prompt=a", 400, "round=-1: give a whole number from 0 to "),
        ("/api/run/run/group?round=9999999999&prompt=a", 400, "round=9999999999: give a whole number from 0 to "),
        ("/api/run/run/group?round=0", 400, "prompt: is missing; this takes round, prompt"),
        ("/api/run/run/group?round=7&prompt=a", 404, "round=7: the run has rollouts of round 0"),
        ("/api/run/run/group?round=0&prompt=none", 404, "prompt=none: round 0 has no rollouts of it"),
        ("/api/run/run/group?round=0&prompt=%00%0A", 404, "round 0 has no rollouts of it"),
        ("/api/run/run/rollout?round=0&prompt=a&sample=x", 400, "sample=x: give a whole number from 0 to "),
        ("/api/run/run/rollout?round=0&prompt=a&sample=9", 404, "sample=9: the group has samples 0, 1"),
        ("/api/run/run/neighbours?round=0&prompt=a&sample=9", 404, "sample=9: the group has samples 0, 1"),
        ("/api/run/run/rollouts?round=7", 404, "round=7: the run has rollouts of round 0"),
        ("/api/run/run/rollouts?round=0&start=-1", 400, "start=-1: give a whole number from 0 to "),
        (
            '/api/run/run/rollouts?round=0&filters={"is_cut":"yes"}',
            400,
            'filters={"is_cut": "yes"}: is_cut is true or false, or null',
        ),
        ('/api/run/run/prompts?order=[["secret","asc"]]', 400, "rows can't be put in order by secret asc"),
        ("/api/run/run/prompts?order=flips", 400, "order=flips: give JSON like "),
        ("/api/pairs?runs=run", 400, 'runs=run: give JSON like ["one run", "another"]'),
        ("/api/pairs?runs=5", 400, 'runs=5: give JSON like ["one run", "another"]'),
        ('/api/pairs?runs=["other"]', 410, "no run that is served is called other"),
        ('/api/pairs?runs=["run"]', 404, "runs: pairs is of two runs or more"),
        ("/api/changes?run=run&since=x", 400, "since=x: give a whole number from 0 to "),
    ],
)
def test_what_can_not_be_answered_is_one_line(client: TestClient, path: str, status: int, line: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, line in answer.text, "\n" in answer.text) == (status, True, False)


def test_a_question_of_sql_is_posted(client: TestClient) -> None:
    answer = client.post("/api/directory")
    assert (answer.status_code, answer.text) == (405, "/api/directory is not asked by this method")


def test_every_document_that_is_served_says_how_its_parameters_are_read() -> None:
    for served in SERVED.values():
        parameters = [*signature(served.make).parameters.values()][1:]
        needed = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
        given = {*served.parameters, *(("request",) if served.is_table else ())}
        assert needed <= given <= {parameter.name for parameter in parameters}


def test_what_was_measured_of_the_runs(client: TestClient, run: RunFolder) -> None:
    assert client.get("/api/measures").json() == {"reports": []}
    Report("Diversity", ["Of replies."], [], Table([], [])).write(run.path / "analysis" / "diversity")
    (report,) = client.get("/api/measures").json()["reports"]
    assert report["where"] == str(run.path / "analysis" / "diversity")
    assert client.get("/api/directory").json()["measures"] == 1
    file = run.path / "analysis" / "diversity" / "results.json"
    file.write_text(file.read_text()[:-8])
    directory = client.get("/api/directory").json()
    assert directory["measures"] == 0 and "results.json" in directory["left_out"][0]


def test_runs_of_one_name_are_told_apart(tmp_path: Path, serve: Callable[[ServedRuns], TestClient]) -> None:
    for folder in ("a", "b"):
        make_run(tmp_path / folder / "run")
    client = serve(ServedRuns([str(tmp_path / folder) for folder in ("a", "b")]))
    ids = [entry["id"] for entry in client.get("/api/directory").json()["runs"]]
    assert ids == [f"{tmp_path}/a/run", f"{tmp_path}/b/run"]
    for id in ids:
        assert client.get(f"/api/run/{id.replace('/', '%2F')}/row").json()["id"] == id


def test_sql_is_answered_with_its_columns(client: TestClient) -> None:
    answer = ask_sql(client, "SELECT round, seed, text, token_ids, NULL AS none FROM rollouts LIMIT 1")
    assert answer["columns"] == ["round", "seed", "text", "token_ids", "none"]
    assert answer["rows"] == [[0, str(2**62), "15.", "[0, 1, 2]", None]]  # a browser has no such number
    assert (answer["is_cut"], answer["left_out"], answer["seconds"] > 0) == (False, [], True)


def test_columns_of_one_name_and_numbers_that_are_none(client: TestClient) -> None:
    answer = ask_sql(client, "SELECT 1 AS a, 2 AS a, 'NaN'::DOUBLE AS b")
    assert (answer["columns"], answer["rows"]) == (["a", "a_1", "b"], [[1, 2, None]])


def test_a_named_query_takes_its_parameters_as_text(client: TestClient) -> None:
    assert ask_sql(client, named="pass_rate")["rows"][0][:4] == ["run", 0, 4, 0]
    assert ask_sql(client, named="disliked_tokens", parameters={"limit": "2"})["columns"][0] == "run"
    wrong = ask_sql(client, named="disliked_tokens", parameters={"limit": "two"})
    assert wrong == {"error": "disliked_tokens: parameter limit is of kind integer, and 'two' isn't"}


def test_all_runs_are_asked_together(tmp_path: Path, serve: Callable[[ServedRuns], TestClient]) -> None:
    for name in ("one", "two"):
        make_run(tmp_path / "runs" / name)
    client = serve(ServedRuns([str(tmp_path / "runs")]))
    counted = "SELECT run, count(*) FROM rollouts GROUP BY run ORDER BY run"
    assert ask_sql(client, counted, run=None)["rows"] == [["one", 4], ["two", 4]]
    assert ask_sql(client, counted, run="two")["rows"] == [["two", 4]]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("", "the query is empty"),
        ("SELECT 1; SELECT 2", "the query has 2 statements: give one"),
        ("DROP VIEW episodes", "DROP is not a query"),
        ("COPY rollouts TO '/tmp/mine.csv'", "COPY is not a query"),
        ("SELECT * FROM read_text('/etc/passwd')", "Permission Error"),
        ("SET memory_limit = '1GB'", "SET is not a query"),
        ("SELECT rewar FROM episodes", "not found"),
    ],
)
def test_sql_that_is_none_or_does_more_than_read_is_one_line(client: TestClient, sql: str, error: str) -> None:
    answer = ask_sql(client, sql)
    assert [*answer] == ["error"] and error in answer["error"] and "\n" not in answer["error"]


def test_a_file_is_no_named_query(client: TestClient, tmp_path: Path) -> None:
    """The command line takes one; whoever asks here need not be allowed to read it."""
    (tmp_path / "mine.sql").write_text("SELECT 'read'")
    answer = ask_sql(client, named=str(tmp_path / "mine.sql"))
    assert answer == {"error": f"no query is named {tmp_path}/mine.sql"}


def test_no_more_rows_and_characters_than_a_page_bears(client: TestClient) -> None:
    answer = ask_sql(client, "SELECT repeat('x', 3000) FROM range(1001)")
    assert (len(answer["rows"]), answer["is_cut"]) == (queries.MOST_ROWS, True)
    assert answer["rows"][0] == ["x" * queries.MOST_CHARACTERS + "…"]


@pytest.mark.parametrize("question", [b"", b"[]", b'{"sql": "", "named": 1, "parameters": []}', b"x" * 100_001])
def test_what_is_no_question_is_one_line(client: TestClient, question: bytes) -> None:
    answer = client.post("/api/sql", content=question)
    assert (answer.status_code, "\n" in answer.text) == (400, False)
    assert answer.text.startswith(('not a question: give JSON like {"run"', "a question has at most 100,000 bytes"))


def test_a_query_has_an_end(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_SECONDS", 0.5)
    assert ask_sql(client, ENDLESS)["error"].startswith("stopped: a query may take 0.5 s here")


def test_a_query_holds_up_nobody_and_ends_with_the_server(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_SECONDS", 3600.0)
    app, pages = make_app(ServedRuns([run.address]), TOKEN)
    client = TestClient(app, base_url=HOST, headers={"Authorization": f"Bearer {TOKEN}"})
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(ask_sql, client, ENDLESS)
        assert client.get("/api/run/run/group?round=0&prompt=a").json()["prompt_id"] == "a"
        assert not asked.done()
        while not asked.done():
            pages.stop()
            time.sleep(0.05)
        assert asked.result()["error"].startswith("stopped")


def test_sql_of_a_run_that_was_removed_is_one_line(run: RunFolder, serve: Callable[[ServedRuns], TestClient]) -> None:
    runs = ServedRuns([run.address])
    client = serve(runs)
    assert ask_sql(client, "SELECT 1")["rows"] == [[1]]
    shutil.rmtree(run.path)
    runs.find("run").look()
    answer = client.post("/api/sql", json={"run": "run", "sql": "SELECT 1", "named": None, "parameters": {}})
    assert (answer.status_code, "was removed, or moved" in answer.text) == (410, True)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (OSError("the store is away"), 503, "the store is away"),
        (StorageError("is damaged"), 409, "is damaged"),
        (
            ZeroDivisionError("a mistake"),
            500,
            "mopd has a fault: ZeroDivisionError('a mistake'); its terminal says more",
        ),
    ],
)
@pytest.mark.parametrize("asked", ["document", "sql"])
def test_what_goes_wrong_is_one_line(
    asked: str,
    error: Exception,
    status: int,
    line: str,
    run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    app, _ = make_app(ServedRuns([run.address]), TOKEN)
    client = TestClient(app, HOST, raise_server_exceptions=False, headers={"Authorization": f"Bearer {TOKEN}"})
    monkeypatch.setattr(LiveRun, "view", fail)
    if asked == "sql":
        answer = client.post("/api/sql", json={"run": "run", "sql": "SELECT 1", "named": None, "parameters": {}})
    else:
        answer = client.get("/api/run/run/rounds")
    assert (answer.status_code, answer.text) == (status, line)
    assert ("a mistake" in capsys.readouterr().err) == (status == 500)


def test_what_can_be_asked(client: TestClient) -> None:
    offered = client.get("/api/queries").json()
    limit = next(one for one in offered["queries"] if one["name"] == "most_shown_peers")["parameters"][-1]
    assert limit == {"name": "limit", "kind": "integer", "about": "at most so many", "default": "20"}
    assert offered["tables"][0]["name"] == "episodes"


def test_runs_are_compared_that_are_named(tmp_path: Path, serve: Callable[[ServedRuns], TestClient]) -> None:
    for name in ("a", "b", "c"):
        make_run(tmp_path / name)
    client = serve(ServedRuns([str(tmp_path)]))
    document = client.get("/api/pairs", params={"runs": '["c", "a"]'}).json()
    assert [run["id"] for run in document["runs"]] == ["c", "a"]
    assert document["prompts"]["trained"]["num"] == 2
    assert client.get("/api/pairs", params={"runs": '["c"]'}).status_code == 404
