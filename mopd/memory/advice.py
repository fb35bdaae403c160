"""Which settings to lower, and to what, for a stage that does not fit: what costs nothing but time first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mopd.errors import InputError

if TYPE_CHECKING:
    from mopd.settings import Settings

Need = Callable[["Settings"], int]
"""Bytes that a stage takes under some settings."""

SMALLEST = {"chunk_positions": 64, "max_tokens_per_pass": 256, "max_tokens": 256, "max_prompt_tokens": 256}
"""Below these nothing is won, or the work is no more what was asked for."""
WORTH = 0.98
"""What a change must bring a stage's memory down to, at least, to be worth making."""
SHARD = "train.shard"
TENSOR_PARALLEL = "generate.engine_arguments.tensor_parallel_size"
ORDER: dict[str, tuple[tuple[str, Any], ...]] = {
    "generate": (
        ("place.devices", None),
        ("generate.max_num_seqs", None),
        ("prompts_per_shard", None),
        (TENSOR_PARALLEL, None),
        ("generate.max_prompt_tokens", None),
        ("generate.max_tokens", None),
    ),
    "score": (
        ("place.devices", None),
        ("score.max_tokens_per_pass", None),
        ("score.chunk_positions", None),
        ("prompts_per_shard", None),
        ("generate.max_tokens", None),
    ),
    "train": (
        ("train.gradient_checkpointing", "on"),
        ("train.max_tokens_per_pass", None),
        ("score.chunk_positions", None),
        ("train.ranks", None),
        (SHARD, "full"),
        ("train.offload_optimizer", True),
        ("train.optimizer", "adamw_8bit"),
        ("train.master_weights", "bfloat16"),
        ("train.lora", {}),
        ("generate.max_tokens", None),
    ),
}
"""Settings by stage, in the order in which they are tried; a value to set, or None for a number to lower.

A model is divided among GPUs, where there are several, before its numbers get fewer bits, or texts shorter.
"""


@dataclass(frozen=True)
class Change:
    """A setting that should have another value."""

    setting: str
    before: Any
    after: Any

    @property
    def override(self) -> str:
        """As `--set` takes it."""
        return f"{self.setting}={_yaml(self.after)}"

    def __str__(self) -> str:
        if isinstance(self.after, int) and not isinstance(self.after, bool):
            way = "lower" if self.after < self.before else "raise"
            return f"{way} {self.setting} from {self.before} to {self.after}"
        return f"set {self.setting} to {_yaml(self.after)}"


def advise(settings: Settings, stage: str, need: Need, capacity: int, gpus: int = 1) -> list[Change] | None:
    """The fewest changes, the first of `ORDER` first, with which a stage takes at most `capacity` bytes.

    None where all of them together are not enough; [] where it fits already. `gpus`: among how many a model may be
    divided.
    """
    changes: list[Change] = []
    for setting, value in ORDER[stage]:
        if need(_with(settings, changes)) <= capacity:
            break
        tried = _try(settings, changes, setting, value, gpus, lambda s: need(s) <= capacity)
        if need(_with(settings, [*changes, *tried])) < WORTH * need(_with(settings, changes)):
            changes += tried
    if need(_with(settings, changes)) > capacity:  # a model that is divided can't have an adapter, or fewer bits
        return advise(settings, stage, need, capacity) if gpus > 1 else None
    return _without_needless(settings, changes, lambda s: need(s) <= capacity)


def _try(
    settings: Settings, changes: Sequence[Change], setting: str, value: Any, gpus: int, fits: Callable[[Settings], bool]
) -> list[Change]:
    """What one line of `ORDER` comes to; [] where there is nothing to change."""
    if setting == SHARD:
        return _all_ranks(settings, gpus)
    if setting == TENSOR_PARALLEL:
        before = settings.generate.num_devices
        sizes = [size for power in range(gpus.bit_length()) if before < (size := 1 << power) <= gpus]
        larger = [Change(setting, before, size) for size in sizes]
        return next(([change] for change in larger if fits(_with(settings, [*changes, change]))), larger[-1:])
    change = _largest(settings, changes, setting, value, fits)
    return [] if change is None else [change]


def _all_ranks(settings: Settings, gpus: int) -> list[Change]:
    """The weights divided among all GPUs, or among the ranks that are asked for."""
    train, ranks = settings.train, max(gpus, settings.train.ranks)
    wanted = [Change("train.ranks", train.ranks, ranks), Change(SHARD, train.shard, "full")] if ranks > 1 else []
    return [change for change in wanted if change.before != change.after]


def _largest(
    settings: Settings, changes: Sequence[Change], setting: str, value: Any, fits: Callable[[Settings], bool]
) -> Change | None:
    """The largest value that fits, or the smallest there is; None where the setting has it already."""
    before = _value(settings, setting)
    if value is not None:
        return None if before == value or (value == {} and before is not None) else Change(setting, before, value)
    if not isinstance(before, int):
        return None
    values = halves(before, SMALLEST.get(setting.rpartition(".")[2], 1))
    fitting = (number for number in values if fits(_with(settings, [*changes, Change(setting, before, number)])))
    return Change(setting, before, next(fitting, values[-1])) if values else None


def halves(number: int, smallest: int) -> list[int]:
    """Powers of two below a number, down to the smallest."""
    powers = [1 << power for power in range(number.bit_length(), -1, -1)]
    return [power for power in powers if smallest <= power < number]


def _without_needless(settings: Settings, changes: list[Change], fits: Callable[[Settings], bool]) -> list[Change]:
    """What a later change made up for is left out, and numbers are as large as they can be beside the others."""
    for change in list(changes):
        others = [other for other in changes if other is not change]
        if fits(_with(settings, others)):
            changes = others
        elif isinstance(change.after, int) and change.after < change.before:
            wider = _largest(settings, others, change.setting, None, fits)
            changes = [wider if other is change and wider is not None else other for other in changes]
    return changes


def _with(settings: Settings, changes: Sequence[Change]) -> Settings:
    from mopd.settings import parse_settings
    from mopd.settings.tree import set_value

    if not changes:
        return settings
    tree = settings.model_dump(mode="json")
    for change in changes:
        set_value(tree, change.setting, change.after)
    try:
        return parse_settings(tree)
    except InputError:  # this value is impossible beside the others: it changes nothing then
        return settings


def _value(settings: Settings, dotted: str) -> Any:
    value: Any = settings
    for name in dotted.split("."):
        value = getattr(value, name, None)  # of places, one has devices
    return value


def _yaml(value: Any) -> str:
    return "{}" if value == {} else str(value).lower() if isinstance(value, bool) else str(value)
