"""Promises: every named query answers what its first line says, and takes its parameters as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.errors import StorageError
from storage.runs import RunFolder
from storage.shards import commit_shard
from storage.sql.catalog import query, query_runs
from storage.sql.facts import Knowledge
from storage.sql.named import find_query, list_queries
from tests.storage.conftest import SETTINGS
from tests.storage.storage_samples import commit, key_of, make_rows

Rows = list[dict[str, Any]]
FAILED = {"success": False, "reward": 0.0, "kind": "wrong_answer"}
NULL = {"success": None, "reward": None, "error": "boom\nand more"}


def changed(rows: Rows, *changes: dict[str, Any]) -> Rows:
    """The rows, the first ones with changes."""
    return [row | change for row, change in zip(rows, [*changes, *({} for _ in rows)])]


@pytest.fixture
def asked(run: RunFolder) -> RunFolder:
    """Two rounds of two groups of two: a and b, then a and c."""
    fill_rounds(run)
    return run


def fill_rounds(run: RunFolder) -> None:
    for round, prompts in ((0, ("a", "b")), (1, ("a", "c"))):
        for table in ("prompts", "rollouts", "verdicts", "contexts", "scores", "signals", "updates"):
            rows = make_rows(table, run.run_id, round=round, prompts=prompts)
            commit(run, table, changed(rows, *CHANGES.get((table, round), ())), round=round)
    commit(run, "contexts", make_rows("contexts", run.run_id, prompts=("a",)), name="control")
    commit(run, "guards", changed(make_rows("guards", run.run_id), {"breached": False, "action": None}))
    commit(run, "guards", make_rows("guards", run.run_id, round=1), round=1)
    commit(run, "evaluations", changed(make_rows("evaluations", run.run_id), FAILED))


ONE_TOKEN = {"token_ids": np.int32([7]), "behavior_logprobs": np.float32([-2.5]), "finish_reason": "length"}
DISLIKED = {"teacher_logprobs": np.float32([-3.0, -0.5, 0.5]), "mean_teacher_logprob": -0.25}
CHANGES: dict[tuple[str, int], tuple[dict[str, Any], ...]] = {
    ("rollouts", 1): (ONE_TOKEN, *({"policy_version": 1},) * 3),
    ("verdicts", 0): ({}, FAILED, FAILED, NULL),
    ("verdicts", 1): (FAILED, FAILED),
    ("contexts", 0): ({"truncated": True, "dropped": ["failure"], "num_tokens": 7},),
    ("scores", 0): (DISLIKED,),
    ("signals", 0): ({"success_auc": 1.0, "gain_auc": 0.75},),
    ("updates", 0): (
        {"importance_mean": 1.0, "importance_max": 1.5, "importance_clipped": 0.0, "tokens": 12},
        {"importance_mean": 2.0, "importance_max": 4.0, "importance_clipped": 0.5, "tokens": 4},
    ),
}
THIRD = 1 / 3
PROMPT = "What is 7 + 8?"
SIDES = (0.25, 0.25)

ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "pass_rate": [("run", 0, 4, 1, 1, THIRD, THIRD), ("run", 1, 4, 0, 2, 0.5, 0.5)],
    "groups_without_success": [
        ("run", 0, "b", "sums", 2, 1, 3.0, 0, PROMPT),
        ("run", 1, "a", "sums", 2, 0, 2.0, 1, PROMPT),
    ],
    "groups_without_success round=0": [("run", 0, "b", "sums", 2, 1, 3.0, 0, PROMPT)],
    "contexts_cut": [
        ("run", 0, "", 4, 1, 0.25, 4.0, ["failure"]),
        ("run", 0, "control", 2, 0, 0.0, 3.0, []),
        ("run", 1, "", 4, 0, 0.0, 3.0, []),
    ],
    "teacher_against_verifier": [
        ("run", 0, "", "positive", 1, 1.0, 0.5, 0.625, 0.5),
        ("run", 1, "", "positive", 0, None, 0.5, 0.5, 0.5),
    ],
    "flipped_prompts": [("run", "a", 0, 1, 0.5, 0.0, "lost", PROMPT)],
    "flipped_prompts bound=0.75": [],
    "staleness": [("run", 0, 0, 4), ("run", 1, 0, 3), ("run", 1, 1, 1)],
    "importance_truncated": [("run", 0, 2, 16, 1.25, 4.0, 0.125), ("run", 1, 2, 24, 1.0, 1.5, 0.0)],
    "entropy_and_length": [("run", 0, 4, 3.0, 3, 0.0, 0.5), ("run", 1, 4, 2.5, 3, 0.25, 0.7)],
    "disliked_tokens limit=1": [("run", 0, "a", 0, 0, 0, "<0>", -2.0, -3.0, -1.0)],
    "disliked_tokens round=1 limit=1": [("run", 1, "a", 0, 0, 0, "<0>", 0.0, -1.0, -1.0)],
    "disliked_tokens condition=control": [],
    "verdicts_by_error": [
        ("run", 0, "last_number", "wrong_answer", None, 2, 2 / 3),
        ("run", 0, "last_number", None, "boom", 1, THIRD),
        ("run", 1, "last_number", "wrong_answer", None, 2, 1.0),
    ],
    "most_shown_peers round=0": [("run", 0, "a", 0, 1, True, ["first_success"], 4, 0.25, 0.0)],
    "guard_decisions": [("run", 1, "entropy", 0.5, 1.0, 0, 0.25, True, "warn", "too little")],
    "guard_decisions all=true": [
        ("run", 0, "entropy", 0.5, 1.0, 0, 0.25, False, None, "too little"),
        ("run", 1, "entropy", 0.5, 1.0, 0, 0.25, True, "warn", "too little"),
    ],
    "two_runs a=run b=run": [
        (0, THIRD, THIRD, 3.0, 3.0, 0.7, 0.7, 0.75, 0.75),
        (1, 0.5, 0.5, 2.5, 2.5, 0.7, 0.7, None, None),
    ],
}


def ask(runs: list[RunFolder], line: str) -> list[tuple[Any, ...]]:
    """The answer to a query and its parameters, as words."""
    name, *parameters = line.split()
    query = find_query(name)
    values = query.bind(dict(word.split("=") for word in parameters), [run.run_id for run in runs])
    words = Knowledge(vocabulary=lambda run: ["<0>"], stages=lambda: {"rollouts": "generate"})
    return query_runs(runs, query.sql, values, words).rows


@pytest.mark.parametrize("line", ANSWERS)
def test_the_answer_is_what_was_counted_by_hand(asked: RunFolder, line: str) -> None:
    rows = ask([asked], line)
    assert len(rows) == len(ANSWERS[line])
    for row, expected in zip(rows, ANSWERS[line]):
        assert row == tuple(pytest.approx(cell) if isinstance(cell, float) else cell for cell in expected)


def test_the_slowest_shards_are_beside_the_median_of_their_stage(run: RunFolder) -> None:
    for shard, seconds in enumerate((2.0, 8.0, 4.0)):
        info = {"seconds": seconds, "tokens": 12, "host": "here", "replica": "engine-0", "attempts": shard}
        rows = make_rows("rollouts", run.run_id, prompts=(str(shard),))
        kept = {"key": key_of(shard), "rows": rows, "parents": [], "info": info}
        commit_shard(run, "rollouts", round=0, shard=shard, **kept)
    end = ("here", "engine-0")
    assert ask([run], "slowest_shards limit=2") == [
        ("run", "generate", 0, 1, "", 8.0, 2.0, 2, 12, 2.0, *end, 1),
        ("run", "generate", 0, 2, "", 4.0, 1.0, 2, 12, 3.0, *end, 2),
    ]
    assert ask([run], "slowest_shards stage=verify") == []


def test_two_runs_stand_side_by_side(asked: RunFolder, tmp_path: Path) -> None:
    other = RunFolder.create(tmp_path / "other", {"settings": SETTINGS})
    fill_rounds(other)
    commit(other, "verdicts", make_rows("verdicts", "other", round=2), round=2)
    assert ask([asked, other], "two_runs a=other b=run") == [
        (0, THIRD, THIRD, 3.0, 3.0, pytest.approx(0.7), pytest.approx(0.7), 0.75, 0.75),
        (1, 0.5, 0.5, 2.5, 2.5, pytest.approx(0.7), pytest.approx(0.7), None, None),
        (2, 1.0, None, None, None, None, None, None, None),
    ]


def test_every_query_is_tried_here() -> None:
    tried = {line.split()[0] for line in ANSWERS} | {"slowest_shards"}
    assert {query.name for query in list_queries()} == tried


def test_every_query_runs_over_a_run_that_holds_nothing(run: RunFolder) -> None:
    for named in list_queries():
        given = {name: "run" for name, one in named.parameters.items() if one.is_needed}
        assert query(run, named.sql, named.bind(given, ["run"])).rows == []
        assert named.about.endswith(".")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pass_rates", r"no query is named pass_rates \(did you mean pass_rate\?\); --list shows all"),
        ("two_runs a=run", r"two_runs: parameter b is missing \(the other\); --param b=…"),
        ("two_runs a=run b=rum", r"two_runs: b=rum is none of the runs \(did you mean run\?\): run"),
        ("staleness round=1", "staleness: no parameter round; it takes none"),
        ("slowest_shards limt=1", r"no parameter limt \(did you mean limit\?\); it takes stage, limit"),
        ("slowest_shards limit=1.5", "slowest_shards: parameter limit is of kind integer, and '1.5' isn't"),
        ("flipped_prompts bound=half", "parameter bound is of kind number, and 'half' isn't"),
        ("absent.sql", "absent.sql: can't be read"),
    ],
)
def test_what_cannot_be_asked_is_one_line(run: RunFolder, line: str, message: str) -> None:
    with pytest.raises(StorageError, match=message) as caught:
        ask([run], line)
    assert "\n" not in str(caught.value)


def test_a_value_is_never_part_of_the_statement(asked: RunFolder) -> None:
    named = find_query("disliked_tokens")
    injected = named.bind({"condition": "' OR true --"}, [])
    assert query(asked, named.sql, injected).rows == []


def test_a_file_is_a_named_query_too(run: RunFolder, tmp_path: Path) -> None:
    file = tmp_path / "mine.sql"
    file.write_text("-- Mine.\n-- param word text = hello: what\n-- param yes boolean: whether\nSELECT $word, $yes\n")
    named = find_query(str(file))
    assert query(run, named.sql, named.bind({"yes": "true"}, [])).rows == [("hello", True)]
    assert list(map(str, named.parameters.values())) == ["word=hello", "yes (boolean)"]
    file.write_text("-- Mine.\n-- param word sentence: what\nSELECT $word\n")
    with pytest.raises(StorageError, match="'param word sentence: what' is no parameter; write: param NAME"):
        find_query(str(file))


def test_a_default_is_shown_as_it_can_be_given() -> None:
    defaults = [(query.name, one) for query in list_queries() for one in query.parameters.values() if not one.is_needed]
    for name, one in defaults:
        assert one.read(str(one).partition("=")[2].strip("'"), name) == one.default
