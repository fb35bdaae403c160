"""Settings of generation: how the student is sampled, and which groups a round trains on."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from mopd.settings.base import Frozen, PositiveInt, choice
from mopd.settings.engine_arguments import refusals
from mopd.settings.sampling import (
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    StopStrings,
    StopTokenIds,
    Temperature,
    TopK,
    TopP,
)


class AllGroups(Frozen):
    """The round has its `num_prompts` groups, whatever their outcomes."""

    kind: Literal["all"] = "all"
    """Every group is scored and trained on."""


class UsefulGroups(Frozen):
    """The round has `num_prompts` useful groups: further prompts are asked until it has them, see `mopd.groups`."""

    kind: Literal["any_success", "mixed"]
    """Groups that are scored and trained on: those with a success, or with both outcomes. `groups: mixed` for short."""
    max_oversample: Annotated[float, Field(ge=1.0, le=100.0)] = 2.0
    """At most so many times `num_prompts` are asked; with fewer useful groups then, the round goes on with those."""


def _allowed(arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if problems := refusals(arguments):
        raise ValueError("; ".join(problems))
    return arguments


DEVICE_ARGUMENTS = ("tensor_parallel_size", "pipeline_parallel_size")
"""Arguments of vLLM whose product is how many devices an engine takes."""

EngineArguments = Annotated[dict[str, JsonValue], AfterValidator(_allowed)]

GroupSettings = Annotated[AllGroups | UsefulGroups, Field(discriminator="kind"), choice(AllGroups, UsefulGroups)]


class GenerateSettings(Frozen):
    """How the student is sampled."""

    engine: Literal["vllm", "transformers", "fake"] = "vllm"
    """`transformers` where vLLM can't be installed; `fake` answers at random, for tests. On a CPU, vLLM's cache takes
    half of the memory that is free, 2 GiB at most, and no more than `max_num_seqs` sequences can fill; the environment
    variable `VLLM_CPU_KVCACHE_SPACE` (GiB) sets it."""
    num_prompts: PositiveInt = 32
    """Prompts a round (paper: 32)."""
    num_samples: PositiveInt = 8
    """Rollouts a prompt, G (paper: 8)."""
    groups: GroupSettings = AllGroups()
    temperature: Temperature = 1.0
    """Of sampling; student and teacher are read at it too."""
    top_p: TopP = 1.0
    """Tokens are drawn from the likeliest that together have this probability. What this and the next four do to
    training: docs/sampling.md."""
    top_k: TopK = 0
    """Tokens are drawn from the k likeliest; 0: from all."""
    min_p: MinP = 0.0
    """Tokens are drawn from those that are at least so many times as likely as the likeliest."""
    repetition_penalty: RepetitionPenalty = 1.0
    """Logits of tokens that prompt or reply have are divided by it, negative ones multiplied; 1: none."""
    presence_penalty: PresencePenalty = 0.0
    """Taken from the logits of tokens that the reply has already; 0: none."""
    stop: StopStrings = ()
    """Texts that end a reply. The reply's text ends before it, its tokens include it."""
    stop_token_ids: StopTokenIds = ()
    """Tokens that end a reply, beside the model's own. The reply's text ends before it, its tokens include it."""
    max_tokens: PositiveInt = 4096
    """Longest response, in tokens."""
    max_prompt_tokens: PositiveInt = 2048
    """Longest prompt, chat template included; a longer one is refused."""
    max_num_seqs: PositiveInt = 128
    """Sequences decoded at once (vLLM)."""
    engine_arguments: EngineArguments = Field(default={})
    """Arguments of vLLM's `LLM`, e.g. `{gpu_memory_utilization: 0.8, kv_cache_dtype: fp8}`. All of them count as
    deciding what is sampled: with others, rollouts are made again. Those that would break a promise are refused."""
    ask_for_summary: Literal["auto", "always", "never"] = "auto"
    """Whether each question ends with the instruction to summarize the reply in a tag. `auto`: where the context shows
    summaries; `always` lets contexts with and without them be compared on the same rollouts; `never`: excerpts do."""

    @property
    def num_devices(self) -> int:
        """Devices that one engine takes."""
        return prod(self._sizes.values())

    @property
    def _sizes(self) -> dict[str, Any]:
        return {name: self.engine_arguments.get(name, 1) for name in DEVICE_ARGUMENTS}

    @model_validator(mode="after")
    def _possible(self) -> GenerateSettings:
        for name, size in self._sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(f"engine_arguments: {name}: {size!r} is no number of devices; give 1 or more")
        if self.engine_arguments and self.engine != "vllm":
            raise ValueError(
                f"engine_arguments are for vllm and the engine is {self.engine}; leave them out or set engine to vllm"
            )
        return self
