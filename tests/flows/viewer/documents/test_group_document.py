"""The document of a group: what the tables have of it, by one query each for any number of groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.viewer.documents.group import group_document, group_documents
from flows.viewer.documents.rollouts.rollout import rollout_document
from flows.viewer.documents.viewed import ViewedRun
from storage.runs import RunFolder
from tests.flows.viewer.group_samples import make_groups
from tests.storage.storage_samples import commit, make_rows

OUTCOMES = {0: {"a": [True, None], "b/2": [False]}, 1: {"a": [False]}}
VERDICT = {"prediction": "15", "feedback": "Right.", "kind": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_groups(tmp_path_factory.mktemp("group") / "run", OUTCOMES)


@pytest.fixture
def run(folder: RunFolder) -> ViewedRun:
    return ViewedRun(folder, "run")


def test_a_group(run: ViewedRun) -> None:
    replies = [
        {"sample": number, "policy_version": 0, "text": f"Reply {number} to a.", "finish_reason": "stop"}
        | {"num_tokens": number + 1}
        for number in range(2)
    ]
    peer = {"role": "first_success", "round": 0, "prompt_id": "a", "sample": 0, "success": True}
    peer |= {"fallback": False, "cut": False}
    assert group_document(run, 0, "a") == {
        "round": 0,
        "prompt_id": "a",
        "previous": None,
        "next": "b/2",
        "dataset": "sums",
        "verifier": "last_number",
        "answer": "15",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How much is a?"}],
        "rollouts": [
            replies[0] | {"verdict": VERDICT | {"reward": 1.0, "success": True, "error": None}},
            replies[1] | {"verdict": VERDICT | {"reward": None, "success": None, "error": "it hung"}},
        ],
        "conditions": [
            {
                "condition": "",
                "variant": "positive",
                "contexts": [
                    {"sample": 0, "peers": [], "dropped": [], "no_section_reason": "no peer"},
                    {"sample": 1, "peers": [peer], "dropped": [], "no_section_reason": None},
                ],
                "scores": [
                    {"sample": 0, "gain": 0.0, "advantage": 0.5, "distill": False},
                    {"sample": 1, "gain": 0.25, "advantage": 0.5, "distill": True},
                ],
            }
        ],
    }


def test_groups_of_a_round_are_those_of_each_alone(run: ViewedRun) -> None:
    together = dict(group_documents(run, 0, ["b/2", "nobody", "a"]))
    assert list(together) == ["b/2", "a"]
    assert together == {prompt: group_document(run, 0, prompt) for prompt in ("a", "b/2")}


def test_what_the_run_does_not_have(run: ViewedRun) -> None:
    assert group_document(run, 0, "nobody") is None
    assert group_document(run, 1, "b/2") is None


def test_stages_that_did_not_come_yet(tmp_path: Path) -> None:
    folder = make_groups(tmp_path / "run", {})
    commit(folder, "rollouts", make_rows("rollouts", folder.run_id, prompts=("a",), samples=1))
    group = group_document(ViewedRun(folder, "run"), 0, "a")
    assert group is not None
    assert group["rollouts"][0]["verdict"] is None
    assert group["conditions"] == [{"condition": "", "variant": None, "contexts": [], "scores": []}]
    assert (group["answer"], group["messages"]) == (None, [{"role": "system", "content": "Be kind."}])


def test_other_conditions_come_after_the_run_s_own(folder: RunFolder) -> None:
    rows = make_rows("contexts", folder.run_id, prompts=("a",), samples=1)
    commit(folder, "contexts", rows, name="control")
    group = group_document(ViewedRun(folder, "run"), 0, "a")
    assert group is not None
    own, control = group["conditions"]
    assert (own["condition"], len(own["contexts"])) == ("", 2)
    assert (control["condition"], control["scores"]) == ("control", [])
    assert [peer["sample"] for peer in control["contexts"][0]["peers"]] == [1]


def test_the_question_is_the_one_of_a_rollout_s_page(tmp_path: Path) -> None:
    folder = make_groups(tmp_path / "run", {0: {"a": [True]}}, condition={"variant": "summary"})
    run = ViewedRun(folder, "run")
    group, rollout = group_document(run, 0, "a"), rollout_document(run, 0, "a", 0)
    assert group is not None and rollout is not None
    assert group["messages"] == rollout["messages"]
    assert "End your reply with a summary" in group["messages"][1]["content"]
