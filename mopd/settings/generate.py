"""Settings of generation: how the student is sampled, and which groups a round trains on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mopd.settings.base import Frozen, PositiveInt, Temperature, choice


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


GroupSettings = Annotated[AllGroups | UsefulGroups, Field(discriminator="kind"), choice(AllGroups, UsefulGroups)]


class GenerateSettings(Frozen):
    """How the student is sampled."""

    engine: Literal["vllm", "transformers", "fake"] = "vllm"
    """`transformers` where vLLM can't be installed; `fake` answers at random, for tests. On a CPU, vLLM's cache takes
    half of the memory that is free, 2 GiB at most; the environment variable `VLLM_CPU_KVCACHE_SPACE` (GiB) sets it."""
    num_prompts: PositiveInt = 32
    """Prompts a round (paper: 32)."""
    num_samples: PositiveInt = 8
    """Rollouts a prompt, G (paper: 8)."""
    groups: GroupSettings = AllGroups()
    temperature: Temperature = 1.0
    """Of sampling; student and teacher are read at it too."""
    max_tokens: PositiveInt = 4096
    """Longest response, in tokens."""
    max_prompt_tokens: PositiveInt = 2048
    """Longest prompt, chat template included; a longer one is refused."""
    max_num_seqs: PositiveInt = 128
    """Sequences decoded at once (vLLM)."""
    ask_for_summary: Literal["auto", "always", "never"] = "auto"
    """Whether each question ends with the instruction to summarize the reply in a tag. `auto`: where the context shows
    summaries; `always` lets contexts with and without them be compared on the same rollouts; `never`: excerpts do."""
