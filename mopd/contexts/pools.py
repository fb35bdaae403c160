"""Whom each rollout of a shard may be shown: its group, earlier rounds' successes, other prompts' successes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mopd.contexts.peers import Candidate, Pool, Source
from mopd.contexts.summaries import summarize
from mopd.engines.stops import LENGTH
from mopd.models.chat_template import ChatTemplate
from mopd.seeds import derive_seed
from mopd.settings.condition import ConditionSettings, ControlVariant
from mopd.settings.variants import ReferenceVariant
from mopd.tasks.task import solution_of
from mopd.verifiers.reply import without_thinking

Row = dict[str, Any]


class Group:
    """The rollouts of one prompt in one round, with their verdicts; all of them, in rising order."""

    def __init__(self, prompt: Row, rollouts: list[Row], verdicts: list[Row]) -> None:
        self.prompt = prompt
        self.round, self.prompt_id = int(prompt["round"]), prompt["prompt_id"]
        self.rollouts = sorted(rollouts, key=_sample)
        self.verdicts = sorted(verdicts, key=_sample)
        samples = [_sample(row) for row in self.rollouts]
        assert samples == list(range(len(samples))), f"group {self.prompt_id} is not whole: samples {samples}"
        assert samples == [_sample(row) for row in self.verdicts], f"group {self.prompt_id}: verdicts are not whole"

    @property
    def solution(self) -> str | None:
        """The task's own, where it has one."""
        return solution_of(json.loads(self.prompt.get("metadata") or "{}"))

    @property
    def question(self) -> str:
        """What the last user message says."""
        return next(row["content"] for row in reversed(self.prompt["messages"]) if row["role"] == "user")  # type: ignore[no-any-return]


class Pools:
    """The candidates of a shard, read once; `earlier` holds groups of earlier rounds."""

    def __init__(
        self,
        groups: list[Group],
        earlier: list[Group],
        settings: ConditionSettings,
        template: ChatTemplate,
        *,
        run_seed: int,
    ) -> None:
        self._settings, self._run_seed = settings, run_seed
        self._special_tokens = template.special_tokens
        self._strips_thoughts = template.knows_thinking if settings.strip_think == "auto" else settings.strip_think
        self._candidates = {group.prompt_id: self._read(group) for group in groups}
        self._earlier: dict[str, list[Candidate]] = {}
        for group in sorted(earlier, key=lambda group: -group.round):
            self._earlier.setdefault(group.prompt_id, []).extend(_successes(self._read(group)))
        self._others: dict[str, tuple[Candidate, ...]] = {}
        self._references = {group.prompt_id: peer for group in groups if (peer := self._reference(group)) is not None}

    def of(self, group: Group, sample: int) -> Pool:
        """Whom rollout `sample` of a group may be shown.

        Its stream derives from (run seed, round, prompt, sample): neither other rollouts nor the order of work change
        what is drawn.
        """
        members = self._candidates[group.prompt_id]
        solved = any(candidate.success for candidate in members)
        return Pool(
            tuple(peer for peer in members if peer.source.sample != sample or not self._settings.exclude_self),
            derive_seed("peers", self._run_seed, group.round, group.prompt_id, sample),
            earlier=() if solved else tuple(self._earlier.get(group.prompt_id, ())),
            others=self._others_of(group.prompt_id) if isinstance(self._settings.variant, ControlVariant) else (),
            show_failure=self._settings.show_failure,
            reference=self._references.get(group.prompt_id),
        )

    def plain(self, text: str) -> str:
        """The text without special tokens: one spelled out in it would end its turn in the teacher's context."""
        while any(token in text for token in self._special_tokens):
            for token in self._special_tokens:
                text = text.replace(token, "")
        return text.strip()

    def _others_of(self, prompt_id: str) -> tuple[Candidate, ...]:
        """Successes of all other prompts: listed once a group, and for controls alone, which fill their slots so."""
        if prompt_id not in self._others:
            groups = [members for other_id, members in self._candidates.items() if other_id != prompt_id]
            self._others[prompt_id] = tuple(peer for members in groups for peer in _successes(members))
        return self._others[prompt_id]

    def _read(self, group: Group) -> list[Candidate]:
        pairs = zip(group.rollouts, group.verdicts, strict=True)
        return [candidate for pair in pairs if (candidate := self._candidate(group, *pair)) is not None]

    def _reference(self, group: Group) -> Candidate | None:
        """The task's solution as if somebody had sampled it; None where it has none, or nobody asks for it."""
        text = self.plain(group.solution or "") if isinstance(self._settings.variant, ReferenceVariant) else ""
        if not text:
            return None
        source = Source(group.round, group.prompt_id, None)
        return Candidate(source, True, 1.0, text, summarize(text), question=group.question)

    def _candidate(self, group: Group, rollout: Row, verdict: Row) -> Candidate | None:
        """None without a verdict, and without text: such a reply has nothing to show. Nor a cut one, where so set."""
        if not self._settings.show_truncated and rollout["finish_reason"] == LENGTH:
            return None
        reply = self.plain(rollout["text"])
        text = without_thinking(reply).strip() if self._strips_thoughts else reply
        if verdict["success"] is None or not text:
            return None
        return Candidate(
            Source(group.round, group.prompt_id, _sample(rollout)),
            success=bool(verdict["success"]),
            reward=float(verdict["reward"]),
            text=text,
            summary=summarize(reply),
            question=group.question,
        )


def _successes(candidates: Iterable[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate.success]


def read_groups(prompts: list[Row], rollouts: Iterable[Row], verdicts: Iterable[Row]) -> list[Group]:
    """One group a prompt, in the order of `prompts`."""
    rollouts_by_prompt, verdicts_by_prompt = _by_prompt(rollouts), _by_prompt(verdicts)
    groups = [
        Group(prompt, rollouts_by_prompt.pop(_key(prompt), []), verdicts_by_prompt.get(_key(prompt), []))
        for prompt in prompts
    ]
    assert not rollouts_by_prompt, "rollouts without a prompt, or two prompts with one key"
    return groups


def read_earlier_groups(prompts: list[Row], rollouts: Iterable[Row], verdicts: Iterable[Row]) -> list[Group]:
    """The groups of earlier rounds that replied to the same prompts as now."""
    by_id = {prompt["prompt_id"]: prompt for prompt in prompts}
    verdicts_by_prompt = _by_prompt(verdicts)
    return [
        Group({**by_id[prompt_id], "round": round}, group, verdicts_by_prompt[round, prompt_id])
        for (round, prompt_id), group in _by_prompt(rollouts).items()
        if prompt_id in by_id
    ]


def _by_prompt(rows: Iterable[Row]) -> dict[tuple[int, str], list[Row]]:
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    return groups


def _key(row: Row) -> tuple[int, str]:
    return int(row["round"]), row["prompt_id"]


def _sample(row: Row) -> int:
    return int(row["sample"])
