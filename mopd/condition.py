"""verdicts -> contexts: for every rollout, what its teacher is shown and the tokens that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mopd.contexts.controls import CONTROLS, MATCHES
from mopd.contexts.peers import VARIANTS, Pool, Source
from mopd.contexts.pools import Group, Pools, read_earlier_groups, read_groups
from mopd.contexts.render import Context, Section, context_digest, fit_context, make_sections, render, shown_texts
from mopd.contexts.summaries import SUMMARY_INSTRUCTION, with_instruction
from mopd.contexts.tokens import ContextTokens
from mopd.errors import InputError
from mopd.models.chat_template import ChatTemplate
from mopd.settings.condition import ConditionSettings
from mopd.settings.variants import ControlVariant
from mopd.tasks.task import Message

Row = dict[str, Any]
NOTHING: tuple[list[Row], list[Row]] = ([], [])


def condition(
    prompts: list[Row],
    rollouts: list[Row],
    verdicts: list[Row],
    settings: ConditionSettings,
    template: ChatTemplate,
    *,
    run_seed: int,
    earlier: tuple[list[Row], list[Row]] = NOTHING,
) -> list[Row]:
    """One context row a rollout, group by group in the order of `prompts`, samples in rising order.

    Groups must be whole. `earlier`: rollouts and verdicts of earlier rounds, whose successes a prompt without one now
    is shown. The role columns name the peers of the group that were selected, `peers` all that is shown, `dropped` the
    roles that the budget had no room for. A rollout's own tokens are not part of its context.
    Raises InputError for a question that is over the budget by itself.
    """
    groups = read_groups(prompts, rollouts, verdicts)
    pools = Pools(groups, read_earlier_groups(prompts, *earlier), settings, template, run_seed=run_seed)
    tokens = ContextTokens(template)
    return [row for group in groups for row in _Conditioner(group, pools, settings, template, tokens).rows()]


class _Conditioner:
    """Makes the contexts of one group; rollouts that are shown the same sections share one rendering."""

    def __init__(
        self,
        group: Group,
        pools: Pools,
        settings: ConditionSettings,
        template: ChatTemplate,
        tokens: ContextTokens,
    ) -> None:
        self._group, self._pools, self._settings, self._tokens = group, pools, settings, tokens
        self._messages = _find_messages(group, template)
        self._contexts: dict[tuple[Section, ...], Context] = {}

    def rows(self) -> list[Row]:
        """One a rollout."""
        return [self._row(int(rollout["sample"])) for rollout in self._group.rollouts]

    def _row(self, sample: int) -> Row:
        group, variant = self._group, self._settings.variant
        pool = self._pools.of(group, sample)
        sections, imitated = self._sections(pool)
        context = self._fit((*sections, *self._feedback(sample, pool)))
        return {
            "run": group.prompt["run"],
            "round": group.round,
            "prompt_id": group.prompt_id,
            "sample": sample,
            "variant": variant.kind,
            "rendering": self._settings.rendering,
            **{role: self._selected(role, sections) for role in ("first_success", "second_success", "failure")},
            "peers": [self._peer(section) for section in context.sections],
            "top_ups": sum(section.top_up for section in context.sections),
            "imitated_sections": len(imitated.sections) if imitated else None,
            "imitated_tokens": len(imitated.token_ids) if imitated else None,
            "messages": context.messages,
            "context_token_ids": context.token_ids,
            "num_tokens": len(context.token_ids),
            "dropped": list(context.dropped),
            "truncated": bool(context.dropped),
            "has_sections": bool(context.sections),
            "no_section_reason": None if context.sections else self._why_nothing(context, pool, imitated),
            "context_digest": context_digest(context.token_ids),
        }

    def _sections(self, pool: Pool) -> tuple[tuple[Section, ...], Context | None]:
        """What is selected of peers; for a control, the context too whose budget that matches."""
        variant = self._settings.variant
        if not isinstance(variant, ControlVariant):
            return self._choose(variant.kind, pool), None
        imitated = self._fit(self._choose(variant.imitates, pool))
        fillers = make_sections(CONTROLS[variant.kind](pool))
        return MATCHES[variant.match](fillers, imitated, self._count), imitated

    def _choose(self, kind: str, pool: Pool) -> tuple[Section, ...]:
        return make_sections(VARIANTS[kind](pool, self._settings.variant))

    def _count(self, sections: tuple[Section, ...]) -> int:
        return len(self._tokens.ids(render(self._messages, sections, self._settings), shown_texts(sections)))

    def _fit(self, sections: tuple[Section, ...]) -> Context:
        if sections not in self._contexts:
            try:
                self._contexts[sections] = fit_context(self._messages, sections, self._settings, self._tokens)
            except InputError as error:
                raise InputError(f"prompt {self._group.prompt_id}: {error}") from error
        return self._contexts[sections]

    def _feedback(self, sample: int, pool: Pool) -> tuple[Section, ...]:
        """The verifier's feedback on the rollout itself, where it is wanted and there is any."""
        when = self._settings.variant.feedback_when
        if when == "never" or (when == "when_no_success" and pool.successes()):
            return ()
        text = self._pools.plain(self._group.verdicts[sample]["feedback"] or "")
        source = Source(self._group.round, self._group.prompt_id, sample)
        return (Section("feedback", source, text),) if text else ()

    def _selected(self, role: str, sections: Sequence[Section]) -> int | None:
        """The group's member in a role; one of an earlier round is in `peers` alone."""
        sources = [section.source for section in sections if section.role == role]
        return next((source.sample for source in sources if source.round == self._group.round), None)

    def _peer(self, section: Section) -> Row:
        return {
            "role": section.role,
            **section.source._asdict(),
            "success": section.success,
            "fallback": section.fallback,
            "cut": section.cut,
            "tokens": self._tokens.count(section.text.strip()),
        }

    def _why_nothing(self, context: Context, pool: Pool, imitated: Context | None) -> str:
        """Why the teacher is shown the prompt alone."""
        variant = self._settings.variant
        if context.dropped:
            return "over budget"
        if variant.kind == "none":
            return "variant none"
        if variant.kind == "reference":
            return "the task has no solution"
        if imitated:
            return self._why_no_filler(imitated, pool)
        reasons = [] if variant.kind == "feedback" else [_why_no_peer(pool, self._settings)]
        if variant.feedback_when == "when_no_success" and pool.successes():
            reasons.append("feedback hidden, a peer succeeded")
        elif variant.feedback_when != "never":
            reasons.append("the verifier gave no feedback")
        return "; ".join(reasons)

    def _why_no_filler(self, imitated: Context, pool: Pool) -> str:
        if not imitated.sections:
            return f"nothing to imitate: {'over budget' if imitated.dropped else _why_no_peer(pool, self._settings)}"
        if self._settings.variant.kind == "unrelated_prompt" and not pool.others:
            return "no success of another prompt"
        return "no filling within the budget"


def _why_no_peer(pool: Pool, settings: ConditionSettings) -> str:
    if not pool.peers and not pool.earlier:
        return f"no peer with a verdict and text{'' if settings.show_truncated else ' that was not cut'}"
    if not pool.successes():
        return "no successful peer"
    return "failure hidden, a peer succeeded" if pool.failures() else "no failed peer"


def _find_messages(group: Group, template: ChatTemplate) -> list[Message]:
    """The prompt as the student was asked: with the instruction to summarize, if its tokens say so."""
    messages = [{"role": message["role"], "content": message["content"]} for message in group.prompt["messages"]]
    instructed = with_instruction(messages, SUMMARY_INSTRUCTION)
    prompt_ids = next((list(row["prompt_token_ids"]) for row in group.rollouts), [])
    return template.messages(instructed if prompt_ids == template.ids(instructed) else messages)
