"""One rollout through its teacher's eyes: what was asked, replied and judged, and how it was read in each context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flows.report.asked import asked_messages
from flows.runtime.shell import shell_command
from flows.viewer.documents.rollouts.group_rows import GroupRows, read_groups
from flows.viewer.documents.rollouts.reading import readings
from flows.viewer.documents.rollouts.token_numbers import DIGITS, rounded
from flows.viewer.documents.rollouts.vocabulary import join_tokens
from flows.viewer.documents.viewed import Json, ViewedRun
from storage.schemas import Row

TOP_SERVED, TOP_IN_FILE = 8, 5
"""Likeliest tokens of each model at each position; a file has 10,000 rollouts in some tens of MB."""


def rollout_document(run: ViewedRun, round: int, prompt: str, sample: int) -> Json | None:
    """One rollout, None where the run has no such one."""
    for group in read_groups(run, round, [prompt]):
        if sample in group.of("rollouts"):
            return make_documents(run, group, [sample], TOP_SERVED)[sample]
    return None


def rollout_documents(run: ViewedRun, round: int, prompts: Sequence[str]) -> Iterator[tuple[str, int, Json]]:
    """All rollouts of some prompts of a round: prompt, sample, document."""
    for group in read_groups(run, round, prompts):
        for sample, document in make_documents(run, group, sorted(group.of("rollouts")), TOP_IN_FILE).items():
            yield group.prompt_id, sample, document


def make_documents(run: ViewedRun, group: GroupRows, samples: Sequence[int], num_top: int) -> dict[int, Json]:
    """Some rollouts out of their group's rows."""
    read = readings(group, samples, run.settings(group.round), num_top)
    return {sample: _document(run, group, sample, read[sample]) for sample in samples}


def _document(run: ViewedRun, group: GroupRows, sample: int, read: list[Json]) -> Json:
    rollout, settings = group.of("rollouts")[sample], run.settings(group.round)
    prompt = group.prompt or {"dataset": None, "answer": None, "messages": []}
    place = {"round": group.round, "prompt": group.prompt_id, "sample": sample}
    return {
        "round": group.round,
        "prompt_id": group.prompt_id,
        "sample": sample,
        "dataset": prompt["dataset"],
        "answer": prompt["answer"],
        "messages": asked_messages(prompt["messages"], settings),
        **_reply(run, rollout),
        "verdict": _verdict(group.of("verdicts").get(sample)),
        "readings": read,
        "shown_to": _shown_to(group, sample),
        "keys": group.keys,
        "commands": [shell_command(name, run.place, **place) for name in ("show", "trace")],
    }


def _reply(run: ViewedRun, rollout: Row) -> Json:
    token_ids = rollout["token_ids"].tolist()
    joined = join_tokens(token_ids, run.vocabulary, run.tokenizer.decode) if run.tokenizer is not None else []
    return {
        "text": rollout["text"],
        "token_ids": token_ids,
        "joined": joined,
        "behaviour": rounded(rollout["behavior_logprobs"], DIGITS),
        **{name: rollout[name] for name in ("finish_reason", "policy_version", "seed", "temperature")},
    }


def _verdict(verdict: Row | None) -> Json:
    if verdict is None:
        return {"outcome": "not judged"}
    outcome = {True: "success", False: "failure", None: "no verdict"}[verdict["success"]]
    names = ("reward", "prediction", "feedback", "kind", "error")
    return {"outcome": outcome, **{name: verdict[name] for name in names}}


def _shown_to(group: GroupRows, sample: int) -> list[Json]:
    """The rollouts of the group whose teachers were shown this one, and as what."""
    own = (group.round, group.prompt_id, sample)
    return [
        {"sample": number, "role": peer["role"]}
        for number, context in sorted(group.of("contexts").items())
        for peer in context["peers"]
        if number != sample and (peer["round"], peer["prompt_id"], peer["sample"]) == own
    ]
