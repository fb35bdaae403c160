"""Settings of held-out evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mopd.settings.base import Frozen, PositiveInt
from mopd.settings.sampling import (
    COLDEST,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    StopStrings,
    StopTokenIds,
    TopK,
    TopP,
)


def _greedy_or_warm(value: float) -> float:
    if 0 < value < COLDEST:
        raise ValueError(f"is neither 0, which is greedy, nor at least {COLDEST:g}")
    return value


class EvaluateSettings(Frozen):
    """Held-out evaluation: mean@k and pass@k. Settings of sampling that are null are generation's."""

    num_samples: PositiveInt = 8
    """k."""
    temperature: Annotated[float, Field(ge=0.0), AfterValidator(_greedy_or_warm)] | None = None
    """Null: the temperature of generation. 0: greedy, always the likeliest token; all samples of a prompt are the same
    then, so set `num_samples` to 1."""
    top_p: TopP | None = None
    """Null: generation's, and so with all that follow."""
    top_k: TopK | None = None
    """0: no bound."""
    min_p: MinP | None = None
    """0: no bound."""
    repetition_penalty: RepetitionPenalty | None = None
    """1: none."""
    presence_penalty: PresencePenalty | None = None
    """0: none."""
    stop: StopStrings | None = None
    """`[]`: none."""
    stop_token_ids: StopTokenIds | None = None
    """`[]`: none beside the model's own."""
    max_tokens: PositiveInt | None = None
    """Longest response, in tokens."""
    when: Literal["first_and_last", "every_round", "never"] = "first_and_last"
    """Which policies are evaluated."""
    bootstrap_samples: PositiveInt = 2000
    """Resamples of the prompts behind each 95 % interval."""
