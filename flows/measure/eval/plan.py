"""The plan of an evaluation: the shards of its prompts and, for each model, of the judged samples, with their keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flows.measure.eval.settings import kept_settings_of
from flows.plan.shard import EvaluationPlan, Shard
from flows.plan.stage import STAGES, key_tree
from mopd.settings import Settings
from storage.errors import StorageError
from storage.keys import shard_key
from storage.runs import RUN_FILE, RunFolder

ROUND = 0
"""All rows of an evaluation stand in one round."""


@dataclass(frozen=True)
class Model:
    """A model of an evaluation, as `run.json` notes it."""

    name: str
    """What its rows have in the column `model` of `evaluations`."""
    source: str
    """What it was found by: a folder, a name, or RUN@N."""
    folder: str
    """Where its weights lie."""
    digest: str
    version: int
    """Of a run's policy; 0 for any other model."""


@dataclass(frozen=True)
class EvalPlan:
    """What an evaluation will have: a pure function of its settings and of the digests of tasks and models."""

    settings: Settings
    tasks_digest: str
    num_tasks: int
    models: dict[str, Model]
    """By name, in the order in which they were first named."""

    @classmethod
    def of(cls, folder: RunFolder) -> EvalPlan:
        """The plan of an evaluation's folder. Raises StorageError for another folder."""
        if "models" not in folder.document:
            raise StorageError(f"{folder.address}: was not made by mopd eval ({RUN_FILE} has no models); name another")
        models = [Model(**entry) for entry in folder.document["models"]]
        digests = {name: folder.document[name] for name in ("tasks_digest", "num_tasks")}
        return cls(kept_settings_of(folder), **digests, models={model.name: model for model in models})

    @cached_property
    def prompts(self) -> list[Shard]:
        """The tasks, `prompts_per_shard` at a time; all models are asked the same."""
        size = self.settings.prompts_per_shard
        return [
            self._shard("prompts", index, {"prompts_per_shard": size}, self.tasks_digest)
            for index in range(-(-self.num_tasks // size))
        ]

    def of_model(self, name: str) -> EvaluationPlan:
        """The shards of one model."""
        return EvaluationPlan(self.prompts, [self._judged(self.models[name], prompts) for prompts in self.prompts])

    def missing(self, folder: RunFolder, names: list[str]) -> list[Shard]:
        """What is still to be made for these models."""
        shards = [*self.prompts, *(shard for name in names for shard in self.of_model(name).evaluations)]
        return [shard for shard in shards if shard.find(folder) is None]

    def _judged(self, model: Model, prompts: Shard) -> Shard:
        settings = STAGES["evaluations"].settings(self.settings, key_tree(self.settings))
        shard = self._shard("evaluations", prompts.shard, settings, prompts.key, model=model.digest)
        return replace(shard, name=model.name, inputs=(prompts,), read=(prompts.flat(),))

    def _shard(self, table: str, shard: int, settings: dict[str, Any], *inputs: str, model: str = "") -> Shard:
        key = shard_key(
            table,
            version=STAGES[table].version,
            settings=settings,
            model=model,
            inputs=list(inputs),
            seed=self.settings.seed,
            shard=shard,
        )
        return Shard(table, ROUND, shard, key, self.settings)
