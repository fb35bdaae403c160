"""What other verdicts change: exact, on two groups of which each number is seen at once."""

from __future__ import annotations

from typing import Any

import pytest

from mopd.measures.rejudged import Judged, rejudged_rows, summarize_rejudged
from mopd.settings.verify import VerifySettings
from mopd.verify import verify

Rows = list[dict[str, Any]]
PROMPTS = [{"prompt_id": name, "dataset": "d", "verifier": verifier} for name, verifier in (("p", "one"), ("q", "two"))]


def verdicts(**rewards: list[float | None]) -> Rows:
    return [
        {"run": "r", "round": 1, "prompt_id": prompt, "sample": sample, "reward": reward}
        | {"success": None if reward is None else reward >= 1, "prediction": f"{prompt}{reward}", "error": None}
        for prompt, group in rewards.items()
        for sample, reward in enumerate(group)
    ]


def contexts(shown: dict[tuple[str, int], list[tuple[str, int]]]) -> Rows:
    """By rollout: the roles of its peers, and which samples of its group they are."""
    return [
        {"prompt_id": prompt, "sample": sample, "context_digest": repr(peers)}
        | {"peers": [{"role": role, "round": 1, "prompt_id": prompt, "sample": peer} for role, peer in peers]}
        for (prompt, sample), peers in shown.items()
    ]


BEFORE = verdicts(p=[1.0, 0.0, 0.0, 0.0], q=[1.0, 1.0])
AFTER = verdicts(p=[1.0, 1.0, 0.0, None], q=[0.0, 0.0])
SHOWN_BEFORE = {("p", 0): [("failure", 1)], ("p", 1): [("first_success", 0), ("failure", 2)], ("q", 0): [("peer", 1)]}
SHOWN_AFTER = {("p", 0): [("first_success", 1), ("failure", 2)], ("p", 1): [("first_success", 0), ("failure", 2)]}


@pytest.fixture
def rows() -> Rows:
    """The shards' rows in different orders; the contexts of `q` were dropped, those of some rollouts never there."""
    before = Judged(BEFORE, contexts(SHOWN_BEFORE), lambda verifier: verifier)
    after = Judged(AFTER[::-1], contexts(SHOWN_AFTER), lambda verifier: "math")
    return rejudged_rows(PROMPTS, before, after, normalize_std=False)


def test_one_row_a_rollout_with_both_verdicts(rows: Rows) -> None:
    assert [(row["prompt_id"], row["sample"]) for row in rows] == [*(("p", i) for i in range(4)), ("q", 0), ("q", 1)]
    assert rows[1] == {
        "run": "r",
        "round": 1,
        "prompt_id": "p",
        "sample": 1,
        "dataset": "d",
        "judge_before": "one",
        "judge_after": "math",
        "reward_before": 0.0,
        "reward_after": 1.0,
        "success_before": False,
        "success_after": True,
        "prediction_before": "p0.0",
        "prediction_after": "p1.0",
        "error_before": None,
        "error_after": None,
        "group_before": "mixed",
        "group_after": "mixed",
        "advantage_before": -0.25,
        "advantage_after": pytest.approx(1 / 3),
        "context_changed": False,
        "roles_changed": [],
    }


def test_a_context_is_another_one_by_its_tokens_and_other_peers_are_named_by_role(rows: Rows) -> None:
    changed = [(row["context_changed"], row["roles_changed"]) for row in rows]
    assert changed[:2] == [(True, ["failure", "first_success"]), (False, [])]
    assert changed[2:4] == [(False, []), (False, [])]  # no context under either
    assert changed[4] == (True, ["peer"])


def test_counts(rows: Rows) -> None:
    assert summarize_rejudged(rows) == {
        "judged": 6,
        "flipped": 4,
        "to_success": 1,
        "to_failure": 2,
        "to_null": 1,
        "from_null": 0,
        "rewards_changed": 4,
        "groups": 2,
        "groups_changed": 1,
        "groups_none": [0, 1],
        "groups_mixed": [1, 1],
        "groups_all": [1, 0],
        "contexts": 6,
        "contexts_changed": 2,
        "roles_changed": {"failure": 1, "first_success": 1, "peer": 1},
        "advantages_changed": 4,
        # p: 3/4, -1/4, -1/4, -1/4 before; 1/3, 1/3, -2/3, none after. q: zeros both times
        "advantage_change": pytest.approx((5 / 12 + 7 / 12 + 5 / 12) / 3),
    }


def test_the_same_verdicts_change_nothing_and_contexts_need_not_be_compared() -> None:
    same = Judged(BEFORE, None, lambda verifier: verifier)
    rows = rejudged_rows(PROMPTS, same, same, normalize_std=True)
    summary = summarize_rejudged(rows)
    assert {row["context_changed"] for row in rows} == {None}
    assert (summary["flipped"], summary["advantages_changed"], summary["advantage_change"]) == (0, 0, None)
    assert (summary["contexts"], summary["contexts_changed"]) == (None, None)
    assert summary["groups_mixed"] == [1, 1]


def test_replies_that_numbers_and_mathematics_judge_differently() -> None:
    """`numeric` takes the last number that a reply names, `math` what stands in a box, in whatever form."""
    texts = (r"So it is \boxed{18}.", "#### 18", "It is 18.", r"\boxed{6 \times 3}")
    key = {"run": "r", "round": 1, "prompt_id": "p"}
    prompts = [{**key, "verifier": "numeric", "answer": "18", "dataset": "gsm8k"}]
    rollouts = [{**key, "sample": sample, "text": text, "finish_reason": "stop"} for sample, text in enumerate(texts)]
    judged = (
        Judged(verify(prompts, rollouts, settings), None, settings.judge_of)
        for settings in (VerifySettings(), VerifySettings(verifier="math"))
    )
    rows = rejudged_rows(prompts, *judged, normalize_std=True)
    assert [(row["reward_before"], row["reward_after"]) for row in rows] == [(1, 1), (1, 0), (1, 0), (0, 1)]
    assert {(row["judge_before"], row["judge_after"]) for row in rows} == {("numeric", "math")}
    summary = summarize_rejudged(rows)
    assert [summary[name] for name in ("flipped", "to_success", "to_failure", "advantages_changed")] == [3, 1, 2, 4]
