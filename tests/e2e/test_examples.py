"""Each example of real tasks goes through the whole DAG at a tiny size, on the real data."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.runs import RunFolder
from storage.shards import verify_run
from storage.sql.catalog import query
from tests.e2e.harness import DATA, FAKE, ROOT, Prefect

TINY = {
    "model.path": "tiny:llama",
    "generate.num_prompts": 2,
    "generate.num_samples": 2,
    "generate.max_tokens": 32,
    "generate.max_prompt_tokens": 5000,
    "condition.max_context_tokens": 6000,
    "evaluate.num_samples": 1,
}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent; set MOPD_DATA")


@pytest.mark.parametrize(
    ("name", "verifier"),
    [
        pytest.param("science", "mcq", marks=needs_data),
        pytest.param("tool_use", "tool_use", marks=needs_data),
        pytest.param("math", "numeric", marks=needs_data),
        ("code", "code"),
    ],
)
def test_real_tasks(prefect: Prefect, tmp_path: Path, name: str, verifier: str) -> None:
    overrides = [text for key, value in TINY.items() for text in ("--set", f"{key}={value}")]
    path = tmp_path / name
    done = prefect.mopd("run", ROOT / "examples" / f"{name}.yaml", "--run", path, *FAKE, *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = RunFolder.open(path)
    judged = query(folder, "SELECT verifier, count(*), count(reward), count(feedback) FROM episodes GROUP BY 1").rows
    assert judged == [(verifier, 4, 4, 4)]
    sandbox = ("bubblewrap", 12) if name == "code" else (None, None)
    assert query(folder, "SELECT DISTINCT sandbox, length(sandbox_policy) FROM verdicts").rows == [sandbox]
    assert verify_run(folder) == []
