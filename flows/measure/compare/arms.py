"""The arms of a comparison: one setting or several, varied over a grid, and the settings of every run of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

from flows.plan.stage import is_free
from mopd.errors import InputError
from mopd.settings import Settings, load_settings
from mopd.settings.tasks import FileTasks
from mopd.settings.tree import differences

UNFIT = ("seed", "evaluate")
"""What can't be varied: seeds are counted by --seeds, and arms are measured alike."""
EVERY_ROUND = "evaluate.when=every_round"


@dataclass(frozen=True)
class Arm:
    """One way of setting what is varied."""

    name: str
    """Fit for the name of a file."""
    overrides: tuple[str, ...]
    """As `--set` takes them."""


@dataclass(frozen=True)
class Job:
    """One run of a comparison."""

    arm: Arm
    seed: int
    settings: Settings

    @property
    def name(self) -> str:
        """The run's name, and that of its folder."""
        return f"{self.arm.name}-seed{self.seed}"


def arms_of(vary: Sequence[str]) -> list[Arm]:
    """The arms of `--vary KEY=A,B,…`; several of them make a grid. Raises InputError."""
    axes = [_axis(text) for text in vary]
    keys = [key for key, _ in axes]
    if twice := _repeated(keys):
        raise InputError(f"--vary {twice}: is given twice; give all its values at once, separated by commas")
    grid = product(*([(key, value) for value in values] for key, values in axes))
    arms = [
        Arm("+".join(_name(*pair) for pair in pairs), tuple(f"{key}={value}" for key, value in pairs)) for pairs in grid
    ]
    if same := _repeated([arm.name for arm in arms]):
        raise InputError(f"--vary: two arms would be called {same}; leave one of them out")
    return arms


def jobs_of(config: Path, arms: list[Arm], num_seeds: int, overrides: list[str]) -> list[Job]:
    """All runs, seed by seed, the first arm of a seed before its others. Raises InputError for bad settings."""
    _check_overrides(arms, overrides)
    settings = [arm_settings(config, arm, overrides) for arm in arms]
    _check_different(arms, settings)
    seeds = range(settings[0].seed, settings[0].seed + num_seeds)
    return [Job(arm, seed, arm_settings(config, arm, [*overrides, f"seed={seed}"])) for seed in seeds for arm in arms]


def arm_settings(config: Path, arm: Arm, overrides: list[str]) -> Settings:
    """The settings of a run; every policy is evaluated unless they say otherwise. Raises InputError."""
    settings = load_settings(config, [*overrides, *arm.overrides])
    if "when" not in settings.evaluate.model_fields_set:
        settings = load_settings(config, [*overrides, *arm.overrides, EVERY_ROUND])
    if settings.evaluate.when == "never":
        raise InputError("evaluate.when: never leaves nothing to compare; leave it out")
    if isinstance(settings.tasks, FileTasks) and settings.tasks.heldout is None:
        raise InputError("tasks.heldout: is null, so that nothing can be compared; name a source of held-out tasks")
    return settings


def fork_overrides(before: Settings, after: Settings) -> list[str]:
    """What turns the settings of one arm's run into those of another's, as `--set` takes it."""
    return [f"{key}={json.dumps(new)}" for key, (_, new) in differences(before, after).items()]


def _repeated(names: list[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)


def _axis(text: str) -> tuple[str, list[str]]:
    key, equals, values_text = text.partition("=")
    values = [value.strip() for value in split_values(values_text)]
    if not key or not equals or not all(values):
        raise InputError(f"--vary {text}: write it as KEY=A,B, e.g. train.objective=mopd,grpo")
    if key.split(".")[0] in UNFIT:
        why = "seeds are counted by --seeds" if key == "seed" else "all arms have to be measured alike"
        raise InputError(f"--vary {key}: can't be varied, {why}")
    if len(values) < 2:
        raise InputError(f"--vary {text}: one value is no comparison; give two or more, separated by commas")
    return key, values


def split_values(text: str) -> list[str]:
    """The parts between commas, but for those within brackets or quotes."""
    return re.findall(r"""(?:[^,\[{"']|\[[^\]]*\]|\{[^}]*\}|"[^"]*"|'[^']*')+""", text)


def _name(key: str, value: str) -> str:
    """A word speaks for itself; anything else stands beside the last part of its setting's name."""
    text = re.sub(r"[^\w.-]+", "-", value).strip("-")
    word = re.fullmatch(r"[A-Za-z_]\w*", value) and value not in ("true", "false", "null")
    return text if word else f"{key.rpartition('.')[2]}={text}"


def _check_different(arms: list[Arm], settings: list[Settings]) -> None:
    for (first, before), (second, after) in combinations(zip(arms, settings, strict=True), 2):
        if all(map(is_free, differences(before, after))):
            raise InputError(f"--vary: {first.name} and {second.name} come to the same results; leave one of them out")


def _check_overrides(arms: list[Arm], overrides: list[str]) -> None:
    varied = {override.partition("=")[0] for override in arms[0].overrides}
    for override in overrides:
        key = override.partition("=")[0]
        if key in varied:
            raise InputError(f"--set {override}: {key} is varied; leave it out of --set")
