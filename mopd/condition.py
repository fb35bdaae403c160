"""verdicts -> contexts: for every rollout, the peers its teacher is shown and the tokens that come of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mopd.contexts import Context, Section, context_digest, fit_context, make_sections
from mopd.errors import InputError
from mopd.peers import Peers, select_peers
from mopd.seeds import derive_seed
from mopd.settings import ConditionSettings

Row = dict[str, Any]
Key = tuple[str, int, str]


def condition(
    prompts: list[Row],
    rollouts: list[Row],
    verdicts: list[Row],
    settings: ConditionSettings,
    tokenizer: Any,
    *,
    run_seed: int,
) -> list[Row]:
    """One context row a rollout, group by group in the order of `prompts`, samples in rising order.

    Groups must be whole. The role columns name the peers that were selected, `peers` those that are shown, `dropped`
    the roles that the budget had no room for. A rollout's own tokens are not part of its context.
    Raises InputError for a question that is over the budget by itself.
    """
    groups = _group_by_prompt(rollouts)
    verdict_by_key = {(*_prompt_key(row), int(row["sample"])): row for row in verdicts}
    rows: list[Row] = []
    for prompt in prompts:
        key = _prompt_key(prompt)
        group = sorted(groups.get(key, []), key=lambda row: int(row["sample"]))
        outcomes = [verdict_by_key[*key, int(row["sample"])]["success"] for row in group]
        rows += _condition_group(prompt, group, outcomes, settings, tokenizer, run_seed)
    assert len(rows) == len(rollouts), "rollouts without a prompt, or two prompts with one key"
    return rows


def _prompt_key(row: Row) -> Key:
    return row["run"], int(row["round"]), row["prompt_id"]


def _group_by_prompt(rollouts: Iterable[Row]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = {}
    for rollout in rollouts:
        groups.setdefault(_prompt_key(rollout), []).append(rollout)
    return groups


def _condition_group(
    prompt: Row,
    group: list[Row],
    outcomes: list[bool | None],
    settings: ConditionSettings,
    tokenizer: Any,
    run_seed: int,
) -> list[Row]:
    """Contexts of one group; rollouts that are shown the same peers share one rendering."""
    samples = [int(row["sample"]) for row in group]
    assert samples == list(range(len(group))), f"group {prompt['prompt_id']} is not whole: samples {samples}"
    texts = [_plain(row["text"], tokenizer) for row in group]
    # A reply without text has nothing to show: as a peer it counts like one without a verdict.
    shown_outcomes = [
        bool(outcome) if outcome is not None and text else None for outcome, text in zip(outcomes, texts, strict=True)
    ]
    contexts: dict[Peers, Context] = {}
    rows: list[Row] = []
    for sample in samples:
        peers = select_peers(
            settings.variant,
            shown_outcomes,
            sample,
            rng_seed=derive_seed("peers", run_seed, int(prompt["round"]), prompt["prompt_id"], sample),
            exclude_self=settings.exclude_self,
            show_failure=settings.show_failure,
        )
        if peers not in contexts:
            contexts[peers] = _fit(prompt, make_sections(peers, texts), settings, tokenizer)
        reason = _no_section_reason(contexts[peers], peers, shown_outcomes, sample, settings)
        rows.append(_row(prompt, sample, peers, contexts[peers], reason, settings))
    return rows


def _fit(prompt: Row, sections: tuple[Section, ...], settings: ConditionSettings, tokenizer: Any) -> Context:
    messages = [{"role": message["role"], "content": message["content"]} for message in prompt["messages"]]
    try:
        return fit_context(messages, sections, settings, tokenizer)
    except InputError as error:
        raise InputError(f"prompt {prompt['prompt_id']}: {error}") from error


def _plain(text: str, tokenizer: Any) -> str:
    """The reply as text alone: a special token spelled out in it would end its turn in the teacher's context."""
    special_tokens = [token for token in tokenizer.all_special_tokens if token]
    while any(token in text for token in special_tokens):
        for token in special_tokens:
            text = text.replace(token, "")
    return text.strip()


def _no_section_reason(
    context: Context, peers: Peers, outcomes: list[bool | None], sample: int, settings: ConditionSettings
) -> str | None:
    """Why the teacher is shown the prompt alone; None when it is shown a peer."""
    if context.shown:
        return None
    if context.dropped:
        return "over budget"
    if settings.variant == "none":
        return "variant none"
    others = [outcome for peer, outcome in enumerate(outcomes) if peer != sample or not settings.exclude_self]
    if not any(outcome is not None for outcome in others):
        return "no peer with a verdict and text"
    if True not in others:
        return "no successful peer"
    return "no failed peer" if False not in others else "failure hidden, a peer succeeded"


def _row(
    prompt: Row, sample: int, peers: Peers, context: Context, reason: str | None, settings: ConditionSettings
) -> Row:
    run, round, prompt_id = _prompt_key(prompt)
    return {
        "run": run,
        "round": round,
        "prompt_id": prompt_id,
        "sample": sample,
        "variant": settings.variant,
        "rendering": settings.rendering,
        "first_success": peers.first_success,
        "second_success": peers.second_success,
        "failure": peers.failure,
        "peers": [{"role": section.role, "sample": section.sample} for section in context.shown],
        "messages": context.messages,
        "context_token_ids": context.token_ids,
        "num_tokens": len(context.token_ids),
        "dropped": list(context.dropped),
        "truncated": bool(context.dropped),
        "has_sections": bool(context.shown),
        "no_section_reason": reason,
        "context_digest": context_digest(context.token_ids),
    }
