"""Generate: the student samples a group of rollouts for each prompt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from mopd.contexts.summaries import with_instruction
from mopd.engines import Engine, Request, Sampling
from mopd.engines.stops import reply_text
from mopd.errors import InputError
from mopd.models.chat_template import ChatTemplate
from mopd.seeds import derive_seed
from mopd.settings import GenerateSettings, Settings

Rows = list[dict[str, Any]]
SEED_BITS = 31  # what every engine accepts


def generate(
    prompts: Rows,
    engine: Engine,
    template: ChatTemplate,
    settings: GenerateSettings,
    *,
    run: str,
    round: int,
    seed: int,
    policy_version: int,
    purpose: Literal["rollout", "evaluation"] = "rollout",
    instruction: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> Rows:
    """Rows of `rollouts`: G samples of each prompt, grouped by prompt in the order given.

    Seeds derive from (run seed, round, prompt, sample): they do not depend on the batch, and two samples share
    one only if 31-bit hashes collide.
    An evaluation's leave out the round, so that every policy version is asked with the same randomness.
    `instruction` is appended to each question, for what a context needs of the replies (`mopd.contexts.summaries`).
    InputError for a prompt longer than `max_prompt_tokens`.
    """
    seed_of = partial(rollout_seed, seed, round) if purpose == "rollout" else partial(_evaluation_seed, seed)
    jobs, sampling = [], Sampling.of(settings)
    for prompt in prompts:
        ids = prompt_ids(prompt, template, settings.max_prompt_tokens, instruction)
        for sample in range(settings.num_samples):
            sample_seed = seed_of(prompt["prompt_id"], sample)
            jobs.append((prompt, sample, Request(ids, sample_seed, sampling)))
    samples = engine.generate([request for _, _, request in jobs], progress)
    return [
        {
            "run": run,
            "round": round,
            "prompt_id": prompt["prompt_id"],
            "sample": sample,
            "policy_version": policy_version,
            "prompt_token_ids": list(request.prompt_token_ids),
            "token_ids": result.token_ids,
            "text": reply_text(template.reply, result),
            "behavior_logprobs": result.logprobs,
            "finish_reason": result.finish_reason,
            "temperature": settings.temperature,
            "seed": request.seed,
        }
        for (prompt, sample, request), result in zip(jobs, samples, strict=True)
    ]


def rollout_seed(seed: int, round: int, prompt_id: str, sample: int) -> int:
    """The seed of one rollout of a run."""
    return derive_seed("rollout", seed, round, prompt_id, sample, bits=SEED_BITS)


def _evaluation_seed(seed: int, prompt_id: str, sample: int) -> int:
    return derive_seed("evaluation", seed, prompt_id, sample, bits=SEED_BITS)


def sample_evaluation(
    prompts: Rows,
    engine: Engine,
    template: ChatTemplate,
    settings: Settings,
    *,
    run: str,
    policy_version: int,
    round: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Rows:
    """Rollout-like rows of held-out prompts, k samples each; `round`, where they stand, is else the policy version."""
    return generate(
        prompts,
        engine,
        template,
        settings.evaluation_sampling,
        run=run,
        round=policy_version if round is None else round,
        seed=settings.seed,
        policy_version=policy_version,
        purpose="evaluation",
        progress=progress,
    )


def prompt_ids(
    prompt: dict[str, Any], template: ChatTemplate, max_prompt_tokens: int, instruction: str = ""
) -> tuple[int, ...]:
    """Token ids of a prompt under the chat template, generation prompt included."""
    messages = with_instruction(prompt["messages"], instruction)
    try:
        ids = template.ids(messages)
    except InputError as error:
        raise InputError(f"prompt {prompt['prompt_id']}: {error}") from error
    if len(ids) > max_prompt_tokens:
        raise InputError(
            f"prompt {prompt['prompt_id']}: {len(ids)} tokens, more than generate.max_prompt_tokens "
            f"({max_prompt_tokens}); shorten it or raise the setting"
        )
    return tuple(ids)
