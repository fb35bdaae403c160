"""Cases rebuilt from bug reports of comparable projects: each gets the reward that it deserves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mopd.sandbox import Sandbox, open_sandbox
from mopd.settings.verify import VerifySettings
from mopd.tasks.generators import generated_rows
from mopd.verifiers import Problem, Verdict, find_verifier

CASES = Path(os.environ.get("MOPD_CASES", Path(__file__).parents[3] / "../shared/cases")) / "grading.jsonl"


def read_cases() -> list[dict[str, Any]]:
    """The rows of the file; none where it is absent."""
    return [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()] if CASES.exists() else []


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A real one."""
    with open_sandbox(VerifySettings(sandbox_slots=1)) as opened:
        yield opened


@pytest.mark.skipif(not CASES.exists(), reason=f"{CASES} is absent; set MOPD_CASES")
def test_there_are_cases() -> None:
    assert len(read_cases()) > 100


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in read_cases()])
def test_case(request: pytest.FixtureRequest, case: dict[str, Any]) -> None:
    verdict = judged(request, case)
    if isinstance(case["expected"], str):  # "<1.0"
        assert verdict is not None and verdict.reward is not None, case["kind"]
        assert verdict.reward < float(case["expected"].removeprefix("<")), case["kind"]
    elif verdict is None:
        assert case["expected"] == 0.0, f"refused at load: {case['kind']}"
    else:
        assert verdict.reward == case["expected"], (case["kind"], verdict.kind, verdict.feedback)


def judged(request: pytest.FixtureRequest, case: dict[str, Any]) -> Verdict | None:
    """The verdict on the case's reply; None where its task is refused when it is loaded."""
    verifier = find_verifier(case["verifier"])
    metadata = source_metadata(case["dataset"]) if "dataset" in case else {}
    problem = Problem(case.get("answer") or case.get("gold") or "", case.get("tests"), metadata)
    if verifier.check is not None and verifier.check(problem, case["verifier"]):
        return None
    extra = (request.getfixturevalue("sandbox"), VerifySettings()) if verifier.sandboxed else ()
    return verifier.judge(case["reply"], problem, *extra)


def source_metadata(dataset: str) -> dict[str, Any]:
    """What a generated task of Reasoning Gym carries along."""
    generated = generated_rows(f"reasoning-gym:{dataset}")
    assert generated is not None
    return dict(next(iter(generated[1]))["metadata"])
