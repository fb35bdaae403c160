"""What `mopd status` says of evaluations: keys that stay, and maj@k only where it is defined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.report.status import rounds_text, run_status
from tests.flows.plan.test_plan import commit, run_of

KEYS = ("policy", "shards_done", "mean_at_k", "mean_interval", "pass_at_k", "pass_interval", "k", "num_prompts")
"""What scripts have read since the first version."""


def evaluated(path: Path, **columns: Any) -> dict[str, Any]:
    """The status of a run whose first policy was evaluated: two prompts, two samples each."""
    folder, plan = run_of(path, {"evaluate.num_samples": 2, "evaluate.when": "every_round", "prompts_per_shard": 6})
    for shard in plan.evaluations[0].all():
        commit(folder, shard, **(columns if shard.table == "evaluations" else {}))
    return run_status(folder)


@pytest.mark.parametrize(
    ("columns", "majority"),
    [
        ({"prediction": "15"}, 1.0),
        ({"prediction": "15", "success": False}, 0.0),
        ({"prediction": None}, None),
        ({"prediction": "def f(): ...", "sandbox": "bubblewrap"}, None),
        ({"success": None}, None),
    ],
)
def test_the_majority_is_told_where_it_is_defined(
    tmp_path: Path, columns: dict[str, Any], majority: float | None
) -> None:
    status = evaluated(tmp_path / "run", **columns)
    first, second = status["evaluations"][:2]
    assert first.keys() >= set(KEYS)
    assert (first["maj_at_k"], second["maj_at_k"]) == (majority, None)
    assert ("maj@2" in rounds_text(status)) == (majority is not None)
