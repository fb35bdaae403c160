"""rollouts -> verdicts: keys kept, threshold applied, a broken verifier costs one rollout."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.settings.verify import VerifySettings
from mopd.verifiers import VERIFIERS, Problem, Verdict, Verifier
from mopd.verify import check_problems, problem_of, verify

KEYS = {"run": "r", "round": 3, "prompt_id": "p"}
COLUMNS = {*KEYS, "sample", "reward", "success", "prediction", "feedback", "kind", "error", "seconds"}
COLUMNS |= {"sandbox", "sandbox_policy"}


def rollouts(*texts: str) -> list[dict[str, Any]]:
    return [{**KEYS, "sample": sample, "text": text, "finish_reason": "stop"} for sample, text in enumerate(texts)]


def prompt(**changes: Any) -> dict[str, Any]:
    return {**KEYS, "verifier": "last_number", "answer": "40", **changes}


def test_one_row_a_rollout() -> None:
    rows = verify([prompt()], rollouts("40", "27", ""), VerifySettings())
    assert [(row["sample"], row["reward"], row["success"], row["prediction"]) for row in rows] == [
        (0, 1.0, True, "40"),
        (1, 0.0, False, "27"),
        (2, 0.0, False, None),
    ]
    for row in rows:
        assert set(row) == COLUMNS
        assert (row["run"], row["round"], row["prompt_id"], row["error"]) == ("r", 3, "p", None)
        assert row["seconds"] >= 0.0


@pytest.mark.parametrize(("threshold", "success"), [(0.5, True), (0.6, False)])
def test_success_is_reward_at_or_over_the_threshold(
    threshold: float, success: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VERIFIERS, "half", Verifier("half", lambda text, problem: Verdict(0.5)))
    (row,) = verify([prompt(verifier="half")], rollouts("x"), VerifySettings(success_threshold=threshold))
    assert (row["reward"], row["success"]) == (0.5, success)


def test_a_verifier_that_raises_marks_its_rollout_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(text: str, problem: Problem) -> Verdict:
        if text == "bad":
            raise RuntimeError("two\nlines")
        return Verdict(1.0)

    monkeypatch.setitem(VERIFIERS, "picky", Verifier("picky", picky))
    good, bad = verify([prompt(verifier="picky")], rollouts("good", "bad"), VerifySettings())
    assert (good["reward"], good["success"], good["error"]) == (1.0, True, None)
    assert (bad["reward"], bad["success"], bad["prediction"]) == (None, None, None)
    assert bad["error"] == "RuntimeError: two lines"


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), None])
def test_a_reward_that_is_no_finite_number_is_an_error(reward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERIFIERS, "odd", Verifier("odd", lambda text, problem: Verdict(reward)))
    (row,) = verify([prompt(verifier="odd")], rollouts("x"), VerifySettings())
    assert (row["reward"], row["success"]) == (None, None)
    assert row["error"]


def test_an_unknown_verifier_is_bad_input() -> None:
    with pytest.raises(InputError, match=r"prompt p: verifier 'nope' is unknown; choose one of .*last_number"):
        verify([prompt(verifier="nope")], rollouts("40"), VerifySettings())


@pytest.mark.parametrize(
    ("verifier", "answer", "said"),
    [
        ("last_number", "40", "40"),
        ("numeric", "40", "It is 40."),
        ("exact", "40", "40"),
        ("math", "40", "\\boxed{40}"),
        ("mcq", "B", "<answer>B</answer>"),
    ],
)
def test_a_summary_that_was_asked_for_is_no_part_of_the_answer(verifier: str, answer: str, said: str) -> None:
    """Whatever judges: the note is for the teacher. Where none was asked for, a reply is what it says."""
    note = f"{said} <summary>27 is \\boxed{{27}}, <answer>A</answer> or 27</summary>"
    asked = verify([prompt(verifier=verifier, answer=answer)], rollouts(said, note), VerifySettings(), summarized=True)
    plain, noted = ({**row, "sample": 0, "seconds": 0.0} for row in asked)
    assert plain["success"]
    assert noted == plain
    (row,) = verify([prompt(verifier=verifier, answer=answer)], rollouts(note), VerifySettings())
    assert row["success"] is False


def test_progress_is_told_without_a_sandbox_too() -> None:
    told: list[int] = []
    verify([prompt()], rollouts("40", "27", ""), VerifySettings(), told.append)
    assert told == [1, 2, 3]


@pytest.mark.parametrize("guarded", [False, True])
def test_replies_are_judged_at_once_by_what_asks_a_process_of_its_own(
    guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other verifier has the main thread, where alone it may set an alarm."""
    asked: list[bool] = []

    def judge(text: str, problem: Problem) -> Verdict:
        asked.append(threading.current_thread() is threading.main_thread())
        return Verdict(float(text))

    monkeypatch.setitem(VERIFIERS, "float", Verifier("float", judge, guarded=guarded))
    rows = verify([prompt(verifier="float")], rollouts(*map(str, range(9))), VerifySettings())
    assert [row["reward"] for row in rows] == [*map(float, range(9))]
    assert asked == [not guarded] * 9


def test_one_verifier_may_judge_what_tasks_leave_to_others() -> None:
    settings = VerifySettings(verifier="first_number")
    (row,) = verify([prompt()], rollouts("40 or 27"), settings)
    assert (row["reward"], row["prediction"]) == (1.0, "40")


@pytest.mark.parametrize(
    ("verifier", "changes", "message"),
    [
        ("code", {}, "verify.verifier: code can't judge prompt p: tests: missing; add it"),
        ("numeric", {"answer": ""}, "verify.verifier: numeric can't judge prompt p: answer: missing; add it"),
        ("mcq", {}, "verify.verifier: mcq can't judge prompt p: answer: '40' is not one capital letter"),
        ("perfect", {}, "verify.verifier: 'perfect' is unknown; choose one of code, "),
        ("absent:judge", {}, "verify.verifier: 'absent:judge' can't be imported as a verifier"),
    ],
    ids=str,
)
def test_what_can_not_be_judged_is_named(verifier: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}") as caught:
        check_problems([("p", problem_of(prompt(**changes)))], VerifySettings(verifier=verifier))
    assert "\n" not in str(caught.value)


def test_what_a_verifier_can_judge_passes() -> None:
    problems = [("p", problem_of(prompt()))]
    for verifier in (None, "numeric", "math"):
        check_problems(problems, VerifySettings(verifier=verifier))
