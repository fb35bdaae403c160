"""The table of prompts: the same rows for a file and for a server, whose numbers are SQL's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.viewer.documents import prompts as module
from flows.viewer.documents.prompts import prompt_filters, prompts, prompts_page
from flows.viewer.documents.request.paging import PageRequest
from flows.viewer.documents.viewed import ViewedRun
from mopd.errors import InputError
from storage.sql.named import find_query
from tests.flows.viewer.group_samples import make_groups

OUTCOMES = {
    0: {"a/1": [True, False, False, False], "b": [True, True], "lost": [None, None]},
    1: {"a/1": [None, None, None, None], "b": [False, False]},
    2: {"a/1": [True, True, None, False], "b": [True, False]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ViewedRun:
    return ViewedRun(make_groups(tmp_path_factory.mktemp("prompts") / "run", OUTCOMES), "run")


def ids(page: dict[str, Any]) -> list[str]:
    return [row["prompt_id"] for row in page["rows"]]


def test_a_row(run: ViewedRun) -> None:
    assert prompts(run)["rows"][0] == {
        "prompt_id": "a/1",
        "dataset": "sums",
        "question": "How much is a/1?",
        "answer": "15",
        "rounds": [[0, 1, 4, 4], [1, 0, 0, 4], [2, 2, 3, 4]],
        "kind": "mixed",
        "pass_rate": 2 / 3,
        "pass_rate_first": 0.25,
        "flips": 1,
        "flipped": True,
        "num_rollouts": 12,
        "mean_tokens": 2.5,
        "num_contexts": 12,
        "num_with_peers": 9,
    }


def test_what_was_not_judged_has_no_pass_rate(run: ViewedRun) -> None:
    lost = prompts(run)["rows"][2]
    assert (lost["kind"], lost["pass_rate"], lost["flips"], lost["rounds"]) == (None, None, 0, [[0, 0, 0, 2]])


def test_flips_are_those_of_the_named_query(run: ViewedRun) -> None:
    query = find_query("flipped_prompts")
    named = [row["prompt_id"] for row in run.ask(query.sql, **query.bind({}, []))]
    assert {row["prompt_id"]: row["flips"] for row in prompts(run)["rows"]} == {"a/1": 1, "b": 2, "lost": 0}
    assert sorted(named) == ["a/1", "b", "b"]


def test_a_server_gives_the_same_rows(run: ViewedRun) -> None:
    page = prompts_page(run, PageRequest())
    assert page == {"rows": prompts(run)["rows"], "total": 3, "filtered": 3, "note": None}


def test_pages(run: ViewedRun) -> None:
    by_flips = PageRequest(length=2, order=(("flips", "desc"),))
    assert ids(prompts_page(run, by_flips)) == ["b", "a/1"]
    rest = prompts_page(run, PageRequest(start=2, length=2, order=(("flips", "desc"),)))
    assert (ids(rest), rest["total"], rest["filtered"]) == (["lost"], 3, 3)
    beyond = prompts_page(run, PageRequest(start=9))
    assert (ids(beyond), beyond["total"]) == ([], 3)


@pytest.mark.parametrize("way", ["asc", "desc"])
def test_what_is_missing_comes_last(run: ViewedRun, way: str) -> None:
    assert ids(prompts_page(run, PageRequest(order=(("pass_rate", way),))))[-1] == "lost"


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"kind": "mixed"}, ["a/1", "b"]),
        ({"kind": None}, ["lost"]),
        ({"flipped": False}, ["lost"]),
        ({"prompt_id": "b"}, ["b"]),
    ],
)
def test_filters(run: ViewedRun, filters: dict[str, Any], wanted: list[str]) -> None:
    page = prompts_page(run, PageRequest(filters=filters))
    assert (ids(page), page["total"], page["filtered"]) == (wanted, 3, len(wanted))


@pytest.mark.parametrize(
    ("search", "wanted"),
    [("MUCH B?", ["b"]), ("a/1", ["a/1"]), ("sums 15", ["a/1", "b", "lost"]), ("much nothing", []), ("'; %", [])],
)
def test_search_finds_all_words_in_any_order(run: ViewedRun, search: str, wanted: list[str]) -> None:
    page = prompts_page(run, PageRequest(search=search))
    assert (ids(page), page["filtered"], page["note"]) == (wanted, len(wanted), None)


def test_a_search_in_many_rounds_reads_the_questions_of_the_newest(
    run: ViewedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SEARCHED", 4)
    run = ViewedRun(run.folder, "run")
    page = prompts_page(run, PageRequest(search="much"))
    assert (ids(page), page["note"]) == (
        ["a/1", "b"],
        "questions and answers are searched from round 1 on, ids in all rounds",
    )
    assert ids(prompts_page(run, PageRequest(search="lost"))) == ["lost"]


def test_of_a_long_question_a_row_has_the_beginning(tmp_path: Path) -> None:
    folder = make_groups(tmp_path / "run", {0: {"x" * 3000 + "end": [True]}})
    run = ViewedRun(folder, "run")
    assert prompts(run)["rows"][0]["question"] == f"How much is {'x' * 1988}"
    assert prompts_page(run, PageRequest(search="xend?"))["filtered"] == 1


def test_only_columns_that_there_are(run: ViewedRun) -> None:
    with pytest.raises(InputError, match="rows can't be put in order by question asc"):
        prompts_page(run, PageRequest(order=(("question", "asc"),)))


def test_what_can_be_chosen(run: ViewedRun) -> None:
    assert prompt_filters(run) == {"datasets": ["sums"], "rounds": [0, 1, 2]}


def test_a_run_that_has_nothing_yet(tmp_path: Path) -> None:
    run = ViewedRun(make_groups(tmp_path / "run", {}), "run")
    assert prompts(run) == {"rows": []}
    assert prompts_page(run, PageRequest(search="x")) == {"rows": [], "total": 0, "filtered": 0, "note": None}
    assert prompt_filters(run) == {"datasets": [], "rounds": []}
