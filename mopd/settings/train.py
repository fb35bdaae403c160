"""Settings of training: the optimizer, what the loss is of, the teacher, and which processes do it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mopd.settings.base import Beta, Frozen, NonNegativeInt, PositiveInt, Switch
from mopd.settings.lora import LoraSettings
from mopd.settings.objective import (
    AggregationSettings,
    BehaviorImportance,
    DistillObjective,
    ImportanceSettings,
    ObjectiveSettings,
    TokenMean,
)
from mopd.settings.teacher import EmaTeacher, TeacherSettings

FULL_COPIES = {"lora": None, "optimizer": "adamw", "master_weights": "float32"}
"""Settings of training that `train.shard: full` does without, each at what it must be."""


class TrainSettings(Frozen):
    """The optimizer and the loss."""

    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-5
    """Of AdamW, after warm-up (paper: 1e-5)."""
    warmup_steps: NonNegativeInt = 10
    """Optimizer steps over which the learning rate rises linearly (paper: 10)."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """The learning rate after warm-up: as it is, or falling towards 0 over all updates of the run. A run whose rate
    falls can't be continued to more rounds, but forked."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    """Of AdamW, on every trained weight (paper: 0.01)."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Of AdamW."""
    max_grad_norm: Annotated[float, Field(gt=0.0)] = 1.0
    """The gradient is scaled down to this norm (paper: 1.0)."""
    updates_per_round: PositiveInt = 1
    """Optimizer steps a round; the round's groups are split evenly among them."""
    epochs: PositiveInt = 1
    """Passes over the round's groups; the optimizer takes `epochs * updates_per_round` steps."""
    objective: ObjectiveSettings = DistillObjective()
    importance: ImportanceSettings = BehaviorImportance()
    aggregation: AggregationSettings = TokenMean()
    normalize_advantage_std: bool = True
    """Whether a group's advantages are divided by the standard deviation of its rewards; read by grpo and the blend."""
    max_staleness: NonNegativeInt = 1
    """Rounds between the policy that sampled and the one that is trained; a round with older rollouts is refused."""
    max_tokens_per_pass: PositiveInt = 4096
    """Tokens of one micro-batch; does not change the result."""
    gradient_checkpointing: Switch = "auto"
    """Activations are computed again in the backward pass instead of kept, layer by layer: less memory, a third more
    time, the same result. `auto`: where those of `max_tokens_per_pass` don't fit into the memory that is free."""
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    """`adamw_8bit` keeps the moments in 8 bits, in blocks (by bitsandbytes): a quarter of their memory."""
    master_weights: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16`: weights of linear layers have 16 bits, and the 16 bits that rounding takes from a weight are kept
    beside its moments, so that no update is lost; gradients add up in float32. Passes must be in bfloat16 too."""
    offload_optimizer: bool = False
    """Keep the optimizer's state out of the device's memory between steps, in the host's; the same result."""
    teacher: TeacherSettings = EmaTeacher()
    lora: LoraSettings | None = None
    mask_truncated: bool = False
    """Whether replies that were cut at the longest response carry no loss. Their rewards count in the means of their
    groups all the same."""
    keep_trainer_states: PositiveInt = 1
    """Rounds whose optimizer and teacher state stay on disk; policies are all kept."""
    ranks: PositiveInt = 1
    """Processes that train one policy together, a device each; the result is that of one but for rounding
    (docs/ranks.md)."""
    shard: Literal["none", "full"] = "none"
    """What ranks hold of weights, gradients and moments: `none`, each a copy; `full`, each its share, by PyTorch's
    FSDP2 (experimental)."""
    checkpoint_every_updates: PositiveInt | None = None
    """Updates after which a round's training is saved, so that one that was killed goes on from there; null: never."""


def check_shares(train: TrainSettings) -> None:
    """Raises ValueError for what ranks can't have shares of."""
    if train.ranks == 1:
        raise ValueError(
            "train.shard: full shares weights out among ranks and there is one; raise train.ranks, or set shard to none"
        )
    for name, plain in FULL_COPIES.items():
        if getattr(train, name) != plain:
            shown = "null" if plain is None else plain
            raise ValueError(
                f"train.shard: full shares out weights and moments that are float32; set train.{name} to {shown}, or "
                "shard to none"
            )
