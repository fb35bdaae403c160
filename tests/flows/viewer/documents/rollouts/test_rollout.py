"""The document of a rollout says what the run's rows say, token by token, for the server and the file alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.viewer.documents.rollouts import rollout as documents
from flows.viewer.documents.rollouts.rollout import rollout_document, rollout_documents
from flows.viewer.documents.rollouts.token_numbers import top_tokens
from flows.viewer.documents.viewed import ViewedRun
from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.flows.plan.test_plan import run_of
from tests.storage.storage_samples import commit, make_rows

Json = dict[str, Any]


@pytest.fixture
def run(small_run: RunFolder) -> ViewedRun:
    return ViewedRun(small_run, "small")


def made_run(path: Path, **rows: list[Json]) -> ViewedRun:
    """A run of two prompts with two rollouts each, some tables' rows other ones, or none."""
    folder = RunFolder.create(path, {"settings": parse_settings({}).model_dump(mode="json")})
    for table in ("prompts", "rollouts", "verdicts", "contexts", "scores"):
        if rows.get(table, True):
            commit(folder, table, rows.get(table) or make_rows(table, folder.run_id))
    return ViewedRun(folder, folder.run_id)


def changed(table: str, **columns: Any) -> list[Json]:
    return [row | columns for row in make_rows(table, "run")]


def all_of(run: ViewedRun, round: int) -> dict[tuple[str, int], Json]:
    prompts = [row["prompt_id"] for row in run.ask("SELECT DISTINCT prompt_id FROM rollouts WHERE round = $r", r=round)]
    return {(prompt, sample): document for prompt, sample, document in rollout_documents(run, round, prompts)}


def test_file_and_server_say_the_same(run: ViewedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "TOP_IN_FILE", documents.TOP_SERVED)
    for round in range(2):
        made = all_of(run, round)
        assert len(made) == 8
        for (prompt, sample), document in made.items():
            assert rollout_document(run, round, prompt, sample) == document
    assert run.problems == []


def test_tokens_are_those_of_sql(run: ViewedRun) -> None:
    rows = run.ask("SELECT * FROM tokens WHERE round = 1 ORDER BY prompt_id, sample, condition, position")
    told = [
        (prompt, sample, reading["condition"], position, token_id, *numbers, reading["untrained"] is None)
        for (prompt, sample), document in sorted(all_of(run, 1).items())
        for reading in document["readings"]
        for position, (token_id, *numbers) in enumerate(
            zip(
                document["token_ids"],
                document["behaviour"],
                reading["score"]["student"],
                reading["score"]["teacher_logps"],
            )
        )
    ]
    keys = ("prompt_id", "sample", "condition", "position", "token_id")
    assert [row[:5] for row in told] == [tuple(row[key] for key in keys) for row in rows]
    assert [row[8] for row in told] == [row["trained"] for row in rows]
    for place, column in ((5, "behavior_logprob"), (6, "student_logprob"), (7, "teacher_logprob")):
        np.testing.assert_allclose([row[place] for row in told], [row[column] for row in rows], atol=5.1e-4)


def test_losses_add_up_to_what_training_told_of_the_rounds_first_update(run: ViewedRun) -> None:
    for round in range(2):
        readings = [document["readings"][0] for document in all_of(run, round).values()]
        losses = [loss for one in readings if one["untrained"] is None for loss in one["score"]["loss"]["values"]]
        [update] = run.ask("SELECT distill_loss FROM updates WHERE round = $round ORDER BY step LIMIT 1", round=round)
        assert np.mean(losses) == pytest.approx(update["distill_loss"], abs=1e-4)


def test_peers_stand_where_their_replies_are(run: ViewedRun) -> None:
    made = all_of(run, 1)
    num_found = 0
    for document in made.values():
        context = document["readings"][0]["context"]
        assert len(context["spans"]) == sum(peer["role"] != "feedback" for peer in context["peers"])
        for span in context["spans"]:
            peer = context["peers"][span["peer"]]
            text = context["messages"][span["message"]]["content"][span["start"] : span["end"]]
            shown = made[peer["prompt_id"], peer["sample"]]
            assert text == shown["text"].strip()
            assert {"sample": document["sample"], "role": peer["role"]} in shown["shown_to"]
            num_found += 1
    assert num_found > 8


def test_what_the_student_was_asked_has_the_system_prompt_and_the_request_of_the_settings(tmp_path: Path) -> None:
    settings = parse_settings({"model": {"system_prompt": "Be kind."}, "condition": {"variant": "summary"}})
    folder = RunFolder.create(tmp_path / "run", {"settings": settings.model_dump(mode="json")})
    commit(folder, "prompts", changed("prompts", messages=[{"role": "user", "content": "Why?"}]))
    commit(folder, "rollouts", make_rows("rollouts", "run"))
    document = rollout_document(ViewedRun(folder, "run"), 0, "a", 1)
    assert document is not None
    assert [message["role"] for message in document["messages"]] == ["system", "user"]
    assert document["messages"][0]["content"] == "Be kind."
    assert document["messages"][1]["content"].startswith("Why?\n\nEnd your reply with a summary")


def test_the_likeliest_tokens_of_each(tmp_path: Path) -> None:
    support = {"support_ids": [[7, 8, 9, -1]], "support_teacher_logprobs": [[-3.0, -0.126, -2.0, -np.inf]]}
    top = top_tokens(arrays({**support, "support_student_logprobs": [[-0.25, -1.5]]}), 1)
    assert top == {"num": 1, "ids": [[8, 7]], "teacher": [[-0.13, -3.0]], "student": [[-1.5, -0.25]]}
    wide = top_tokens(arrays({**support, "support_student_logprobs": [[-0.25, -1.5]]}), 3)
    assert wide is not None
    assert (wide["ids"], wide["student"]) == ([[8, 9, 7]], [[-1.5, None, -0.25]])
    alone = top_tokens(arrays({**support, "support_student_logprobs": None}), 2)
    assert alone == {"num": 2, "ids": [[8, 9]], "teacher": [[-0.13, -2.0]], "student": None}
    assert top_tokens(dict.fromkeys(support) | {"support_student_logprobs": None}, 2) is None


def arrays(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: None if values is None else np.array(values) for name, values in columns.items()}


@pytest.mark.parametrize(
    ("changes", "has_top", "why"),
    [
        ({"support_student_logprobs": None}, True, "of the student only the sampled tokens are kept"),
        (dict.fromkeys(("support_ids", "support_teacher_logprobs")), False, "distill needs no distributions here"),
    ],
)
def test_what_is_missing_of_the_distributions_is_said(changes: Json, has_top: bool, why: str, tmp_path: Path) -> None:
    document = rollout_document(made_run(tmp_path / "run", scores=changed("scores", **changes)), 0, "a", 0)
    assert document is not None
    [reading] = document["readings"]
    assert (reading["top"] is not None) == has_top
    assert why in reading["no_top"]
    assert reading["score"]["loss"]["values"] is None


def test_what_the_run_has_not_come_to(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", scores=[])
    document = rollout_document(run, 0, "a", 0)
    assert document is not None
    [reading] = document["readings"]
    assert (reading["score"], reading["top"], reading["untrained"]) == (None, None, "not scored")
    alone = rollout_document(made_run(tmp_path / "new", scores=[], contexts=[], verdicts=[]), 0, "a", 0)
    assert alone is not None
    assert (alone["readings"], alone["verdict"]) == ([], {"outcome": "not judged"})
    assert rollout_document(run, 0, "a", 9) is None
    assert rollout_document(run, 0, "c", 0) is None
    assert rollout_document(run, 1, "a", 0) is None


def test_a_damaged_shard_is_missing_and_told_of(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    damage(run, "scores")
    document = rollout_document(run, 0, "a", 0)
    assert document is not None
    [reading] = document["readings"]
    assert reading["score"] is None and reading["context"] is not None
    [line] = run.problems
    assert "scores/round=0000" in line and "damaged" in line


def test_of_damaged_rollouts_the_others_are_there(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    damage(run, "rollouts")
    commit(run.folder, "rollouts", make_rows("rollouts", "run", prompts=("c",)), shard=1)
    assert [key[:2] for key in rollout_documents(run, 0, ["a", "c"])] == [("c", 0), ("c", 1)]
    assert len(run.problems) == 1


def damage(run: ViewedRun, table: str) -> None:
    """Flip a bit in the middle of a table's only shard."""
    [file] = (run.folder.path / table / "round=0000").glob("*.parquet")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_the_prompt_of_a_further_group_is_its_own_behind_the_held_out_ones(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", {"generate.groups": "mixed", "evaluate.when": "every_round"})
    asked, held_out = plan.rounds[0].prompts, plan.evaluations[0].prompts
    own = {shard.shard: (f"p{number}",) for number, shard in enumerate(asked)}
    for shard in (*asked, *held_out):
        prompts = own.get(shard.shard, (f"held out {shard.shard}",))
        rows = [row | {"answer": prompts[0]} for row in make_rows("prompts", "run", prompts=prompts)]
        commit(folder, "prompts", rows, shard=shard.shard, key=shard.key)
    for rollouts, prompts in zip(plan.rounds[0].rollouts, own.values(), strict=True):
        commit(folder, "rollouts", make_rows("rollouts", "run", prompts=prompts), shard=rollouts.shard)
    run = ViewedRun(folder, "run")
    assert [shard.shard for shard in asked] != [shard.shard for shard in plan.rounds[0].rollouts]
    for number, shard in enumerate(asked):
        document = rollout_document(run, 0, f"p{number}", 0)
        assert document is not None
        assert (document["answer"], document["keys"]["prompts"]) == (f"p{number}", {"": shard.key})


def test_an_empty_reply(tmp_path: Path) -> None:
    none = np.zeros(0, np.float32)
    reply = {"token_ids": none.astype(np.int32), "behavior_logprobs": none, "text": ""}
    scores = {**reply, "proximal_logprobs": none, "teacher_logprobs": none, "mean_teacher_logprob": None}
    scores |= {"support_ids": np.zeros((0, 4), np.int32), "support_teacher_logprobs": np.zeros((0, 4), np.float32)}
    del scores["text"]
    run = made_run(tmp_path / "run", rollouts=changed("rollouts", **reply), scores=changed("scores", **scores))
    document = rollout_document(run, 0, "a", 0)
    assert document is not None
    [reading] = document["readings"]
    assert (document["token_ids"], reading["score"]["student"], reading["top"]) == ([], [], None)
    assert reading["untrained"] == "it has no tokens"


@pytest.mark.parametrize("prompts", [["b"], ["b", "a", "nobody"]])
def test_only_the_groups_that_are_asked_for(prompts: Sequence[str], tmp_path: Path) -> None:
    keys = [(prompt, sample) for prompt, sample, _ in rollout_documents(made_run(tmp_path / "run"), 0, prompts)]
    assert keys == [(prompt, sample) for prompt in sorted({*prompts} - {"nobody"}) for sample in range(2)]


def test_groups_of_several_shards_and_conditions(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    for table in ("prompts", "rollouts", "contexts", "scores"):
        commit(run.folder, table, make_rows(table, "run", prompts=("c", "d")), shard=1)
        commit(run.folder, table, make_rows(table, "run", prompts=("e", "f")), shard=2)
    for table in ("contexts", "scores"):
        other = make_rows(table, "run", prompts=("d",), samples=1)
        commit(run.folder, table, other, shard=1, name="control")
    documents = {key: [one["condition"] for one in made["readings"]] for key, made in all_of(run, 0).items()}
    assert list(documents) == [(prompt, sample) for prompt in "abcdef" for sample in range(2)]
    assert [key for key, conditions in documents.items() if conditions == ["", "control"]] == [("d", 0)]
    made = rollout_document(run, 0, "d", 0)
    assert made is not None
    assert made["readings"][1]["untrained"] == "another context: it was only looked at"
    assert set(made["keys"]["scores"]) == {"", "control"}
    assert made["commands"][0] == f"mopd show {run.folder.address} --round 0 --prompt d --sample 0"
