"""What a stage is, said once: the table that it fills, what its keys hold, and the jobs that make a shard of it.

Adding a stage is a record here, a module of `mopd` with the work, and a schema in `storage.schemas`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, reduce
from operator import getitem
from typing import Any

from flows.plan import counts
from mopd.contexts.summaries import instruction_of
from mopd.objectives import needs_reference, needs_support
from mopd.settings import Settings
from mopd.settings.condition import AutoVariant

Json = dict[str, Any]
Rows = list[dict[str, Any]]

FREE_SETTINGS = (
    "shard_retries",
    "model.allow_pickled_weights",
    "model.check_memory",
    "generate.max_num_seqs",
    "verify.sandbox_slots",
    "score.max_tokens_per_pass",
    "score.chunk_positions",
    "train.max_tokens_per_pass",
    "train.gradient_checkpointing",
    "train.offload_optimizer",
    "train.teacher.place",
    "train.keep_trainer_states",
    "train.max_staleness",
    *("train.ranks", "train.shard", "train.checkpoint_every_updates"),
    "evaluate.when",
    "evaluate.bootstrap_samples",
    "guards",
    "report",
    "place",
    "store",
)
"""Settings that change no shard's content, so that a run may continue with other ones: no key holds them.

But for `choices`, which hold `evaluate.bootstrap_samples` (see `free_settings`), and for `guards`, which hold what they
are decided by, and are decided again.
"""


LATER_SETTINGS = (
    *(f"generate.{name}" for name in ("top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty")),
    *(f"evaluate.{name}" for name in ("top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty")),
    *("generate.stop", "generate.stop_token_ids", "generate.engine_arguments"),
    *("evaluate.stop", "evaluate.stop_token_ids", "evaluate.max_tokens"),
    *("condition.show_truncated", "train.mask_truncated"),
    *("verify.verifier", "verify.version"),
    *("train.schedule", "train.optimizer", "train.master_weights"),
)
"""Settings that came when there were shards already: at its default none is in a key, so that those are still found.

Whoever changes such a default raises the versions of the stages that read it: keys would not tell the two apart.
"""


@dataclass(frozen=True)
class Stage:
    """One step of a round: it turns shards of earlier tables into those of its own.

    Jobs and loads are named as `module:function`, and imported by the process that runs them. A job is
    `job(loaded, work) -> rows`, where `work` (`flows.execute.work.Work`) holds the shard, its settings and its inputs.
    """

    name: str
    """A verb: of the flow, of its steps, and in the lines of progress."""
    table: str
    version: int
    """Raise it when the code changes what the stage writes."""
    settings: Callable[[Settings, Json], Json]
    """The part of the settings that enters its keys, of their tree without FREE_SETTINGS."""
    job: str
    load: str = ""
    """What the job needs on the device, `load(folder, settings, version) -> loaded`; "" for a job of the CPU."""
    devices: Callable[[Settings], int] = lambda settings: 1
    """How many devices of one host a process of it needs for that."""
    ranks: Callable[[Settings], int] = lambda settings: 0
    """How many processes make a shard together; 0: each makes shards of its own."""
    judge: str = ""
    """Where `job` samples on the device: `judge(samples, work) -> rows`, on the CPU while the next shard is sampled."""
    reads: tuple[str, ...] = ()
    """Tables that it reads besides those of its inputs."""
    count: Callable[[Rows], Json] = lambda rows: {}
    """What the manifest says of the rows, so that nobody has to read them to tell how far a run is."""
    columns: dict[str, str] = field(default_factory=dict, hash=False)
    """Of the stage's table for people: headings, and the counts that stand under them."""

    @property
    def samples(self) -> bool:
        """Whether its jobs ask an engine."""
        return bool(self.load) and self.devices is _engine_devices


def _generate(tree: Json) -> Json:
    return _without(tree["generate"], "num_prompts", "groups", "ask_for_summary")


def _words(tree: Json) -> Json:
    """What a model is asked in, as far as that isn't its own chat template."""
    names = ("chat_template", "chat_template_kwargs", "system_prompt")
    return {name: tree["model"][name] for name in names if tree["model"][name]}


def _prompts(settings: Settings, tree: Json) -> Json:
    num_prompts = tree["generate"]["num_prompts"]
    return {"tasks": tree["tasks"], "num_prompts": num_prompts, "prompts_per_shard": tree["prompts_per_shard"]}


def _rollouts(settings: Settings, tree: Json) -> Json:
    instruction = instruction_of(settings)
    return {**_generate(tree), **_words(tree), "precision": tree["model"]["precision"], "instruction": instruction}


def _verdicts(settings: Settings, tree: Json) -> Json:
    verify: Json = tree["verify"]
    return verify


def _contexts(settings: Settings, tree: Json) -> Json:
    return {**tree["condition"], **_words(tree), **_selection(settings)}


def _scores(settings: Settings, tree: Json) -> Json:
    return {
        "support": tree["score"] if needs_support(settings) else None,
        "precision": tree["model"]["precision"],
        "normalize_advantage_std": tree["train"]["normalize_advantage_std"],
        # An EMA's rate decides the teachers of later rounds, whose keys hold the policy that they came with.
        "teacher": _without(tree["train"]["teacher"], *({"rate"} & tree["train"]["teacher"].keys())),
        "reference": needs_reference(settings),
    }


def _nothing(settings: Settings, tree: Json) -> Json:
    return {}


def _answers(settings: Settings, tree: Json) -> Json:
    precision = tree["model"]["precision"]
    return {"generate": _generate(tree), **_words(tree), "verify": tree["verify"], "precision": precision}


def _rejudged(settings: Settings, tree: Json) -> Json:
    return {"normalize_advantage_std": settings.train.normalize_advantage_std}


def _choices(settings: Settings, tree: Json) -> Json:
    return {"bootstrap_samples": settings.evaluate.bootstrap_samples}


def _guards(settings: Settings, tree: Json) -> Json:
    bounds = settings.guards.model_dump(mode="json", exclude={"rollback"})
    return {**bounds, "max_staleness": settings.train.max_staleness, "draws": settings.evaluate.bootstrap_samples}


def _policies(settings: Settings, tree: Json) -> Json:
    length = {} if settings.train.schedule == "constant" else {"rounds": settings.rounds}
    return {**tree["train"], **length, **_dropout(settings), "precision": tree["model"]["precision"]}


def _dropout(settings: Settings) -> Json:
    """How dropout is drawn, where there is any: it was once an update, which is another policy than once a pass."""
    return {"dropout": "by micro-batch"} if settings.train.lora and settings.train.lora.dropout else {}


def _evaluations(settings: Settings, tree: Json) -> Json:
    return {**tree["evaluate"], **_answers(settings, tree)}


def _selection(settings: Settings) -> Json:
    """What decides, beside the verdicts, which groups have contexts: nothing where all have."""
    generate = settings.generate
    if generate.groups.kind == "all":
        return {}
    return {"groups": generate.groups.kind, "num_prompts": generate.num_prompts}


def _engine_devices(settings: Settings) -> int:
    return settings.generate.num_devices


def _without(tree: Json, *names: str) -> Json:
    assert set(names) <= tree.keys(), f"no such settings: {set(names) - tree.keys()}"
    return {name: value for name, value in tree.items() if name not in names}


_STAGES = (
    Stage("draw", "prompts", 3, _prompts, job="flows.execute.jobs.prompts:draw"),
    Stage(
        name="generate",
        table="rollouts",
        version=2,
        settings=_rollouts,
        load="flows.execute.jobs.rounds:load_engine",
        devices=_engine_devices,
        job="flows.execute.jobs.rounds:generate",
        count=counts.count_rollouts,
        columns={"cut at the longest response": "cut"},
    ),
    Stage(
        name="verify",
        table="verdicts",
        version=5,
        settings=_verdicts,
        reads=("prompts",),
        job="flows.execute.jobs.rounds:verify",
        count=counts.count_verdicts,
        columns={"groups": "groups", "groups with both outcomes": "mixed"},
    ),
    Stage(
        name="condition",
        table="contexts",
        version=2,
        settings=_contexts,
        reads=("prompts", "rollouts"),
        job="flows.execute.jobs.rounds:condition",
        count=counts.count_contexts,
        columns={"with peer sections": "with_sections", "cut contexts": "cut"},
    ),
    Stage(
        name="score",
        table="scores",
        version=4,
        settings=_scores,
        reads=("rollouts", "verdicts"),
        load="flows.execute.jobs.rounds:load_scorer",
        job="flows.execute.jobs.rounds:score",
        count=counts.count_scores,
        columns={"with distillation loss": "distilled"},
    ),
    Stage(
        name="measure",
        table="signals",
        version=1,
        settings=_nothing,
        reads=("contexts", "verdicts"),
        job="flows.execute.jobs.measures:measure",
        count=counts.count_groups,
    ),
    Stage(
        name="answer",
        table="answers",
        version=3,
        settings=_answers,
        reads=("prompts",),
        load="flows.execute.jobs.measures:load_answerer",
        devices=_engine_devices,
        job="flows.execute.jobs.measures:answer",
        judge="flows.execute.jobs.measures:judge_answers",
        count=counts.count_judged,
    ),
    Stage("choose", "choices", 1, _choices, job="flows.execute.jobs.measures:choose", count=counts.count_choices),
    Stage(
        name="rejudge",
        table="rejudged",
        version=1,
        settings=_rejudged,
        reads=("prompts",),
        job="flows.execute.jobs.measures:rejudge",
        count=counts.count_rejudged,
        columns={"flipped": "flipped"},
    ),
    Stage(
        name="train",
        table="policies",
        version=3,
        settings=_policies,
        load="flows.execute.jobs.training:load_trainer",
        job="flows.execute.jobs.training:train",
        ranks=lambda settings: settings.train.ranks,
        columns={"steps": "steps"},
    ),
    Stage("record", "updates", 3, _nothing, job="flows.execute.jobs.training:record", count=counts.count_updates),
    Stage(
        name="evaluate",
        table="evaluations",
        version=4,
        settings=_evaluations,
        load="flows.execute.jobs.rounds:load_engine",
        devices=_engine_devices,
        job="flows.execute.jobs.rounds:sample_heldout",
        judge="flows.execute.jobs.rounds:judge_heldout",
        count=counts.count_judged,
    ),
    Stage(
        name="guard",
        table="guards",
        version=1,
        settings=_guards,
        job="flows.execute.jobs.guards:guard",
        count=counts.count_guards,
        columns={"breached": "breached"},
    ),
)
STAGES = {stage.table: stage for stage in _STAGES}
"""By table, in the order of a round; guards, which follow from all the others, are asked after several of them."""


def key_tree(settings: Settings) -> Json:
    """The settings as `Stage.settings` is given them: those that can decide what a shard holds."""
    tree, defaults = settings.model_dump(mode="json"), _default_tree()
    for dotted in (*FREE_SETTINGS, *LATER_SETTINGS):
        *groups, name = dotted.split(".")
        group = reduce(getitem, groups, tree)
        assert name in group or "kind" in group, f"no such setting: {dotted}"  # a choice has those of its kind
        if dotted in FREE_SETTINGS or group[name] == reduce(getitem, groups, defaults)[name]:
            group.pop(name, None)
    return tree


@cache
def _default_tree() -> Json:
    return Settings().model_dump(mode="json")


def free_settings(settings: Settings) -> tuple[str, ...]:
    """FREE_SETTINGS of a run with these settings: where a probe chooses its contexts, the choice holds intervals."""
    probes = isinstance(settings.condition.variant, AutoVariant)
    return tuple(name for name in FREE_SETTINGS if not (probes and name == "evaluate.bootstrap_samples"))


def is_free(name: str, free: Iterable[str] = FREE_SETTINGS) -> bool:
    """Whether a setting, or a group that it is part of, is among `free` ones."""
    return any(name == setting or name.startswith(f"{setting}.") for setting in free)
