"""What a context is worth before training: the gap, its interval, and the choice that follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mopd.engines import Request, Sample, Sampling
from mopd.generate import rollout_seed
from mopd.measures.estimate import UNDEFINED, Estimate
from mopd.measures.probe import ANSWER_COLUMNS, Gain, answer, best_context, choice_rows, gain_of, mean_signal, why_best
from mopd.models.chat_template import ChatTemplate
from mopd.settings import GenerateSettings

Rows = list[dict[str, Any]]
DRAWS = {"num_samples": 200, "seed": 0}


def outcomes(**prompts: str) -> Rows:
    """`a="10?"`: prompt a has a success, a failure, and a sample without a verdict."""
    said = {"1": True, "0": False, "?": None}
    return [
        {"prompt_id": prompt, "sample": sample, "success": said[one]}
        for prompt, group in prompts.items()
        for sample, one in enumerate(group)
    ]


def test_the_gap_is_a_mean_over_prompts_of_differences() -> None:
    gain = gain_of(outcomes(a="1000", b="1100"), outcomes(a="1110", b="1100"), **DRAWS)
    assert (gain.student, gain.self_teacher, gain.num_null) == (0.375, 0.625, 0)
    assert gain.gap == Estimate(0.25, 0.0, 0.5, 2)


def test_what_has_no_verdict_is_left_out_and_counted() -> None:
    gain = gain_of(outcomes(a="1000", b="??", c="1"), outcomes(a="11??", b="11", c="?"), **DRAWS)
    assert (gain.student, gain.self_teacher, gain.num_null) == (0.25, 1.0, 3)
    assert gain.gap == Estimate(0.75, None, None, 1)


def test_a_rollout_counts_beside_the_answer_of_its_number() -> None:
    answers = [row for row in outcomes(a="0110") if row["sample"] in (1, 2)]
    gain = gain_of(outcomes(a="1010"), answers, **DRAWS)
    assert (gain.student, gain.self_teacher) == (0.5, 1.0)


def test_nothing_answered_is_undefined() -> None:
    assert gain_of(outcomes(a="10"), [], **DRAWS) == Gain(None, None, UNDEFINED, 0)


def gap(value: float | None, low: float = 0.0, high: float = 0.0) -> Estimate:
    return UNDEFINED if value is None else Estimate(value, low, high, 4)


@pytest.mark.parametrize(
    ("gaps", "aucs", "best"),
    [
        ({"a": gap(0.1), "b": gap(0.2)}, {"a": 0.9, "b": 0.1}, "b"),
        ({"a": gap(0.1), "b": gap(0.1)}, {"a": 0.6, "b": 0.7}, "b"),
        ({"a": gap(0.1), "b": gap(0.1)}, {"a": 0.6, "b": None}, "a"),
        ({"a": gap(0.1), "b": gap(0.1)}, {"a": 0.6, "b": 0.6}, "a"),
        ({"a": gap(None), "b": gap(-0.3)}, {"a": 0.6, "b": 0.6}, "b"),
        ({"a": gap(None), "b": gap(None)}, {"a": None, "b": None}, "a"),
    ],
)
def test_the_largest_gap_then_the_higher_auc_then_the_first(gaps: Any, aucs: Any, best: str) -> None:
    assert best_context(gaps, aucs) == best


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (gap(0.25, 0.1, 0.4), "largest gap: +25.0 points [10.0, 40.0], above zero"),
        (gap(0.25, -0.1, 0.4), "largest gap: +25.0 points [-10.0, 40.0], not surely above zero"),
        (gap(-0.25, -0.4, -0.1), "largest gap: -25.0 points [-40.0, -10.0], not above zero: no context helps here"),
        (gap(None), "no prompt has verdicts on both sides: the first candidate"),
    ],
)
def test_why_says_how_sure_it_is(one: Estimate, why: str) -> None:
    assert why_best(one) == why


def signal(prompt: str, auc: float | None, population: str = "all") -> dict[str, Any]:
    return {"prompt_id": prompt, "population": population, "success_auc": auc, "pairwise_accuracy": auc}


def test_a_signals_mean_leaves_out_prompts_without_it() -> None:
    rows = [signal("a", 0.5), signal("b", None), signal("c", 1.0), signal("d", 0.0, "sections")]
    assert mean_signal(rows, "success_auc") == 0.75
    assert mean_signal([signal("b", None)], "success_auc") is None


def test_rows_of_choices_say_what_each_candidate_came_to() -> None:
    tried = {
        "none": ([signal("a", 0.5), signal("b", 0.5)], outcomes(a="10", b="00")),
        "success": ([signal("a", 0.75), signal("b", None)], outcomes(a="11", b="10")),
    }
    rows = choice_rows(
        tried,
        outcomes(a="10", b="00"),
        conditions={"none": "{}", "success": '{"x": 1}'},
        run="r",
        round=3,
        num_samples=100,
        seed=0,
    )
    assert [(row["candidate"], row["chosen"], row["gap"], row["success_auc"]) for row in rows] == [
        ("none", False, 0.0, 0.5),
        ("success", True, 0.5, 0.75),
    ]
    assert [(row["why"] is None, row["condition"], row["round"]) for row in rows] == [
        (True, "{}", 3),
        (False, '{"x": 1}', 3),
    ]


class Echo:
    """Replies with the seed it was given."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def generate(self, requests: list[Request], progress: Any) -> list[Sample]:
        self.requests = list(requests)
        return [Sample(np.array([one.seed % 7]), np.array([0.0]), "stop") for one in requests]

    def decode(self, ids: Any, **_: Any) -> str:
        return f"reply {ids[0]}"

    def get_chat_template(self) -> str:
        return "{{ messages }}"


def test_an_answer_is_sampled_under_the_context_with_the_rollouts_seed() -> None:
    contexts = [
        {"run": "r", "round": 2, "prompt_id": "p", "sample": sample, "variant": "success", "context_digest": "d"}
        | {"context_token_ids": np.array([5, 6, sample])}
        for sample in (0, 1)
    ]
    echo = Echo()
    settings = GenerateSettings(temperature=0.7, max_tokens=9)
    rows = answer(contexts, echo, ChatTemplate(echo), settings, seed=4, policy_version=2)
    seeds = [rollout_seed(4, 2, "p", sample) for sample in (0, 1)]
    assert echo.requests == [Request((5, 6, sample), seeds[sample], Sampling.of(settings)) for sample in (0, 1)]
    assert [set(row) for row in rows] == [set(ANSWER_COLUMNS)] * 2
    assert [row["text"] for row in rows] == [f"reply {seed % 7}" for seed in seeds]
