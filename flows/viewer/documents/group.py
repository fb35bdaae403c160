"""A group: the replies to a prompt in a round, their verdicts, and who was shown to whose teacher.

- `round`, `prompt_id`, `dataset`, `verifier`, `answer`, `messages` (as the student read them)
- `previous`, `next`: prompts of the round beside it, in the order of their ids; null at the ends
- `rollouts`: [{sample, policy_version, text, finish_reason, num_tokens, verdict}, ...]; a verdict is {reward, success,
  prediction, feedback, kind, error}, null where none was given yet
- `conditions`: [{condition, variant, contexts, scores}, ...]; what the run trains on ("") is first, and always there
  - contexts: [{sample, peers, dropped, no_section_reason}, ...]; peers are {role, round, prompt_id, sample, success,
    fallback, cut}, without a sample where that is the task's own solution
  - scores: [{sample, gain, advantage, distill}, ...]; the gain is how much likelier the teacher finds the reply than
    the student does: a mean over its tokens, in nats
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from flows.report.asked import asked_messages
from flows.viewer.documents.request.paging import one_of
from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.settings import Settings

_QUERIES = {
    "prompts": "SELECT prompt_id, dataset, verifier, answer, messages FROM prompts WHERE {where}",
    "rollouts": "SELECT prompt_id, sample, policy_version, text, finish_reason, num_tokens FROM rollouts WHERE {where} "
    "ORDER BY sample",
    "verdicts": "SELECT prompt_id, sample, reward, success, prediction, feedback, kind, error FROM verdicts "
    "WHERE {where}",
    "contexts": "SELECT prompt_id, sample, condition, variant, peers, dropped, no_section_reason FROM contexts "
    "WHERE {where} ORDER BY sample",
    "scores": "SELECT prompt_id, sample, condition, advantage, distill, "
    "round(mean_teacher_logprob - list_avg(proximal_logprobs), 6) AS gain FROM scores WHERE {where} ORDER BY sample",
    "neighbours": "FROM (SELECT prompt_id, lag(prompt_id) OVER ids AS previous, lead(prompt_id) OVER ids AS next "
    "FROM (SELECT DISTINCT prompt_id FROM rollouts WHERE round = $round) WINDOW ids AS (ORDER BY prompt_id)) "
    "WHERE {prompts}",
}
"""What is asked of the run, once for any number of groups of a round."""
_PEER = ("role", "round", "prompt_id", "sample", "success", "fallback", "cut")

Rows = Mapping[str, Sequence[Json]]
"""Those of one group, by the names of the queries."""


def group_document(run: ViewedRun, round: int, prompt: str) -> Json | None:
    """A group; None where the run has no rollouts of it."""
    return next((document for _, document in group_documents(run, round, [prompt])), None)


def group_documents(run: ViewedRun, round: int, prompts: Sequence[str]) -> Iterator[tuple[str, Json]]:
    """Groups of a round with their prompts' ids, by as many queries as for one; those without rollouts are left out."""
    condition, values = one_of("prompt_id", prompts)
    where = {"where": f"round = $round AND {condition}", "prompts": condition}
    asked = {name: run.ask(sql.format_map(where), round=round, **values) for name, sql in _QUERIES.items()}
    groups = {name: _by_prompt(rows) for name, rows in asked.items()}
    settings = run.settings(round)
    for prompt in prompts:
        if prompt in groups["rollouts"]:
            rows = {name: by_prompt.get(prompt, []) for name, by_prompt in groups.items()}
            yield prompt, make_group(round, prompt, rows, settings)


def make_group(round: int, prompt_id: str, rows: Rows, settings: Settings | None) -> Json:
    """A group of its rows; `settings`: those of the round. A prompt whose row is lost has no messages."""
    prompt: Json = next(iter(rows["prompts"]), {"dataset": None, "verifier": None, "answer": None, "messages": []})
    neighbours: Json = next(iter(rows["neighbours"]), {"previous": None, "next": None})
    verdicts = {row["sample"]: _without(row, "prompt_id", "sample") for row in rows["verdicts"]}
    return {
        "round": round,
        "prompt_id": prompt_id,
        **{name: neighbours[name] for name in ("previous", "next")},
        **{name: prompt[name] for name in ("dataset", "verifier", "answer")},
        "messages": asked_messages(prompt["messages"], settings),
        "rollouts": [
            {**_without(row, "prompt_id"), "verdict": verdicts.get(row["sample"])} for row in rows["rollouts"]
        ],
        "conditions": _conditions(rows["contexts"], rows["scores"]),
    }


def _conditions(contexts: Sequence[Json], scores: Sequence[Json]) -> list[Json]:
    """Contexts and scores by the condition that they were made under."""
    names = {row["condition"] for row in (*contexts, *scores)} | {""}
    return [_condition(name, contexts, scores) for name in sorted(names)]


def _condition(name: str, contexts: Sequence[Json], scores: Sequence[Json]) -> Json:
    shown = [row for row in contexts if row["condition"] == name]
    return {
        "condition": name,
        "variant": shown[0]["variant"] if shown else None,
        "contexts": [
            {
                "sample": row["sample"],
                "peers": [{field: peer[field] for field in _PEER} for peer in row["peers"]],
                "dropped": row["dropped"],
                "no_section_reason": row["no_section_reason"],
            }
            for row in shown
        ],
        "scores": [
            {column: row[column] for column in ("sample", "gain", "advantage", "distill")}
            for row in scores
            if row["condition"] == name
        ],
    }


def _by_prompt(rows: Sequence[Json]) -> dict[str, list[Json]]:
    """In their order."""
    key = itemgetter("prompt_id")
    return {prompt: list(group) for prompt, group in groupby(sorted(rows, key=key), key)}


def _without(row: Json, *columns: str) -> Json:
    return {name: value for name, value in row.items() if name not in columns}
