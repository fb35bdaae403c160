"""What `make demo` says at the end: did the student get better, where is everything, what to ask it.

python -m flows.cli.demo RUN
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from flows.report.sql.rows import format_result
from flows.report.status.state import run_status
from flows.viewer.leave import REPORT_FILE, report_link
from storage.runs import RunFolder
from storage.sql.catalog import query
from storage.stores.address import Address, in_bucket

QUERIES = {
    "Which questions had both outcomes, and what did a successful peer say?": """
SELECT prompt, answer, count(*) FILTER (success) AS successes, count(*) AS rollouts,
       min_by(text, sample) FILTER (success) AS success
FROM episodes WHERE round = 0 GROUP BY prompt, answer
HAVING successes BETWEEN 1 AND rollouts - 1 ORDER BY successes, prompt LIMIT 5
""",
    "Does the teacher, having seen the peers, prefer the right replies? (mean logprob of a token, by round)": """
SELECT round, success, count(*) AS rollouts, round(avg(mean_teacher_logprob), 3) AS teacher,
       round(avg(list_avg(proximal_logprobs)), 3) AS student, round(avg(num_tokens), 1) AS tokens
FROM episodes GROUP BY ALL ORDER BY round, success
""",
    "Where does the teacher disagree with the student most, token by token?": """
SELECT round, prompt_id, sample, position, round(teacher_logprobs[position], 2) AS teacher,
       round(proximal_logprobs[position], 2) AS student, success, text
FROM (SELECT *, unnest(range(1, len(token_ids) + 1)) AS position FROM episodes WHERE distill)
ORDER BY abs(teacher_logprobs[position] - proximal_logprobs[position]) DESC LIMIT 5
""",
}
"""Three questions worth asking any run, with the SQL that answers them."""


def main(argv: list[str] | None = None) -> int:
    """Print the report of a run folder."""
    (path,) = sys.argv[1:] if argv is None else argv
    folder = RunFolder.open(path)
    status = run_status(folder)
    print(f"\n{verdict(status)}")
    print(f"\nEverything is in {folder.address}: Parquet for every stage, the policies, the settings.")
    for number, (question, sql) in enumerate(QUERIES.items(), start=1):
        result = query(folder, sql)
        print(f"\n{number}. {question}\n\n   {_command('sql', folder, ' '.join(sql.split()))}\n")
        print(format_result(result.columns, result.rows, "table"))
    show = _command("show", folder, "--round", "0", "--prompt", _a_prompt(folder), "--sample", "0")
    print(f"\nOne rollout in the teacher's eyes:\n\n   {show}")
    print(f"\nAll of it to look at, in one file for your browser:\n\n   {_page(folder)}")
    return 0


def verdict(status: dict[str, Any]) -> str:
    """One line: held-out mean@k before and after, in points."""
    done = [evaluation for evaluation in status["evaluations"] if evaluation["mean_at_k"] is not None]
    if len(done) < 2:
        return "No held-out comparison: evaluation is off or not finished."
    first, last = done[0], done[-1]
    k, change = first["k"], 100 * (last["mean_at_k"] - first["mean_at_k"])
    return (
        f"Held-out mean@{k}: {100 * first['mean_at_k']:.1f} % -> {100 * last['mean_at_k']:.1f} % "
        f"({change:+.1f} points), "
        f"pass@{k}: {100 * first['pass_at_k']:.1f} % -> {100 * last['pass_at_k']:.1f} %, "
        f"after {last['policy']} rounds, on {first['num_prompts']} questions that were never trained on."
    )


def _page(folder: RunFolder) -> str:
    """The page that the run left; or how to have it."""
    if folder.store.stat(REPORT_FILE) is None:
        return _command("report", folder)
    return report_link(folder)


def _command(name: str, folder: RunFolder, *words: str) -> str:
    """A command of this environment on the run, with short paths."""
    return shlex.join([_from_here(Path(sys.executable).with_name("mopd")), name, _from_here(folder.address), *words])


def _from_here(address: Address) -> str:
    """Relative to the working directory where it lies below it: short enough to be copied."""
    path = Path(address)
    if in_bucket(address):
        return str(address)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _a_prompt(folder: RunFolder) -> str:
    return str(query(folder, "SELECT min(prompt_id) FROM episodes WHERE round = 0").rows[0][0])


if __name__ == "__main__":
    sys.exit(main())
