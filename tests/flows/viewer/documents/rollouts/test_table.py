"""The rollouts of a round, column by column, are those of the run's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.viewer.documents.request.paging import PageRequest
from flows.viewer.documents.request.parameters import NotThere
from flows.viewer.documents.rollouts.table import COLUMNS, neighbours, rollouts, rollouts_page, rounds
from flows.viewer.documents.viewed import ViewedRun
from mopd.errors import InputError
from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.storage.storage_samples import commit, make_rows

Json = dict[str, Any]


ALL = PageRequest(length=100)


def page_of(run: ViewedRun, round: int, **asked: Any) -> Json:
    return rollouts_page(run, PageRequest(**asked), round)


def keys_of(page: Json) -> list[tuple[str, int]]:
    return [(row["prompt_id"], row["sample"]) for row in page["rows"]]


def rows_of(document: Json) -> list[Json]:
    return [dict(zip(document["columns"], row)) for row in zip(*document["columns"].values(), strict=True)]


def test_they_are_those_of_sql(small_run: RunFolder) -> None:
    run = ViewedRun(small_run, "small")
    told = rollouts_page(run, ALL, 1)["rows"]
    assert all(tuple(row) == (*COLUMNS, "question") for row in told)
    rows = run.ask("SELECT * FROM episodes WHERE round = 1 ORDER BY prompt_id, sample")
    for column in ("prompt_id", "sample", "reward", "prediction", "num_tokens", "distill"):
        assert [row[column] for row in told] == [row[column] for row in rows]
    assert [row["outcome"] == "success" for row in told] == [row["success"] for row in rows]
    assert [row["is_cut"] for row in told] == [row["finish_reason"] == "length" for row in rows]
    shifts = [np.array(row["teacher_logprobs"]) - np.array(row["proximal_logprobs"]) for row in rows]
    assert [row["shift"] for row in told] == pytest.approx([shift.mean() for shift in shifts], abs=6e-5)
    assert [row["disagreement"] for row in told] == pytest.approx([abs(shift).mean() for shift in shifts], abs=6e-5)
    assert [row["question"] for row in told] == [row["prompt"][:120] for row in rows]
    assert rounds(run) == {"rounds": [0, 1]}


@pytest.fixture
def run(tmp_path: Path) -> ViewedRun:
    """Prompts of which `a` is learnt, `b` lost, `c` as it was, `d` asked for the first time in round 2."""
    folder = RunFolder.create(tmp_path / "run", {"settings": parse_settings({}).model_dump(mode="json")})
    solved = {0: {"a": (0, 0), "b": (1, 0), "c": (1, 1)}, 2: {"a": (1, 0), "b": (0, 0), "c": (1, 1), "d": (1, 1)}}
    for round, outcomes in solved.items():
        prompts = tuple(outcomes)
        for table in ("prompts", "rollouts"):
            commit(folder, table, make_rows(table, "run", round=round, prompts=prompts), round=round)
        verdicts = make_rows("verdicts", "run", round=round, prompts=prompts)
        judged = [row | {"success": bool(outcomes[row["prompt_id"]][row["sample"]])} for row in verdicts]
        commit(folder, "verdicts", judged, round=round)
    return ViewedRun(folder, "run")


def test_what_flipped(run: ViewedRun) -> None:
    again = [row for row in make_rows("rejudged", "run", round=2, prompts=("a", "b")) if row["sample"] == 0]
    commit(run.folder, "rejudged", again[:1], round=2, name="again")
    commit(run.folder, "rejudged", [again[0] | {"success_after": None}], round=2, name="other")
    told = rollouts_page(run, ALL, 2)["rows"]
    assert {row["prompt_id"]: row["flip"] for row in told} == {"a": "learnt", "b": "lost", "c": None, "d": None}
    turned = {(row["prompt_id"], row["sample"]): row["turned"] for row in told if row["turned"]}
    assert turned == {("a", 0): "failure by math, no verdict by math"}
    assert all(row["flip"] is None for row in rollouts_page(run, ALL, 0)["rows"])


def test_what_is_missing_is_null(run: ViewedRun) -> None:
    unjudged = make_rows("rollouts", "run", round=3, prompts=("a",))
    commit(run.folder, "rollouts", unjudged, round=3)
    told = rollouts_page(run, ALL, 3)["rows"]
    assert [row["outcome"] for row in told] == ["not judged"] * 2
    assert {row[name] for row in told for name in ("reward", "disagreement", "distill", "flip", "turned")} == {None}
    failed = [row | {"success": None, "reward": None, "error": "it hung"} for row in make_rows("verdicts", "run")]
    commit(run.folder, "verdicts", [row | {"round": 3} for row in failed if row["prompt_id"] == "a"], round=3)
    told = rollouts_page(ViewedRun(run.folder, "run"), ALL, 3)["rows"]
    assert [(row["outcome"], row["why"]) for row in told] == [("no verdict", "it hung")] * 2


def test_a_file_has_the_same_rows_of_some_prompts(run: ViewedRun) -> None:
    document = rollouts(run, 2, ["d", "nobody"])
    rows = [row for row in rollouts_page(run, ALL, 2)["rows"] if row["prompt_id"] == "d"]
    questions = document["questions"]
    assert [{**row, "question": questions[row["prompt_id"]]} for row in rows_of(document)] == rows
    assert set(questions) == {"d"}
    assert rollouts(run, 9, ["d"])["columns"]["sample"] == []


def test_pages(run: ViewedRun) -> None:
    page = page_of(run, 2, start=2, length=3)
    assert (keys_of(page), page["total"], page["filtered"]) == ([("b", 0), ("b", 1), ("c", 0)], 8, 8)
    assert keys_of(page_of(run, 2, length=2, order=(("prompt_id", "desc"), ("sample", "desc")))) == [("d", 1), ("d", 0)]
    with pytest.raises(NotThere, match=r"^round=9: the run has rollouts of round "):
        page_of(run, 9)
    with pytest.raises(InputError, match="rows can't be put in order by why asc"):
        page_of(run, 2, order=(("why", "asc"),))


@pytest.mark.parametrize(
    ("filters", "search", "wanted"),
    [
        ({"outcome": "success"}, "", [("a", 0), ("c", 0), ("c", 1), ("d", 0), ("d", 1)]),
        ({"is_flipped": True}, "", [("a", 0), ("a", 1), ("b", 0), ("b", 1)]),
        ({"is_flipped": True, "outcome": "success"}, "", [("a", 0)]),
        ({"distill": None, "is_cut": False}, "learnt", [("a", 0), ("a", 1)]),
        ({"is_cut": True}, "", []),
        ({}, "LOST 7", [("b", 0), ("b", 1)]),
    ],
)
def test_filters_and_a_search(run: ViewedRun, filters: Json, search: str, wanted: list[tuple[str, int]]) -> None:
    found = [
        key
        for key in keys_of(page_of(run, 2, length=100, filters=filters, search=search))
        if search != "d" or key[0] == "d"
    ]
    assert found == wanted


def test_neighbours(run: ViewedRun) -> None:
    def walk(prompt: str, sample: int, **asked: Any) -> Json | None:
        return neighbours(run, PageRequest(**asked), 2, prompt, sample)

    key = {"prompt_id": "b", "sample": 1}
    assert walk("b", 0) == {
        "turned": None,
        "flip": "lost",
        "number": 3,
        "total": 8,
        "previous": {"prompt_id": "a", "sample": 1},
        "next": key,
    }
    backwards = walk("c", 0, order=(("prompt_id", "desc"),))
    assert backwards is not None and (backwards["number"], backwards["previous"]) == (
        3,
        {"prompt_id": "d", "sample": 1},
    )
    first = walk("a", 0, filters={"outcome": "success"})
    assert first is not None and (first["previous"], first["next"]["prompt_id"], first["total"]) == (None, "c", 5)
    passed_by = walk("b", 0, filters={"outcome": "success"})
    assert passed_by is not None and (passed_by["number"], passed_by["next"]) == (None, {"prompt_id": "c", "sample": 0})
    assert walk("nobody", 0) is None and neighbours(run, PageRequest(), 9, "a", 0) is None


def test_held_out_prompts_are_no_questions_of_a_round(run: ViewedRun) -> None:
    """They lie under the number of the policy that is asked."""
    held_out = make_rows("prompts", "run", round=2, prompts=("a",))
    other = [{"role": "user", "content": "held out"}]
    commit(
        run.folder, "prompts", [{**row, "split": "heldout", "messages": other} for row in held_out], round=2, shard=1
    )
    run = ViewedRun(run.folder, "run")
    assert {row["question"] for row in page_of(run, 2)["rows"]} == {"What is 7 + 8?"}
    assert page_of(run, 2, search="held")["filtered"] == 0
    assert rollouts(run, 2, ["a"])["questions"] == {"a": "What is 7 + 8?"}
