"""What a model card is written from: a policy, the run that trained it, and what that measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.folder.export import exported_policy
from flows.folder.policies import base_version, has_adapter
from flows.plan.run import DIGESTS, RunPlan
from flows.plan.stage import key_tree
from flows.report.artifacts import find_manifests
from flows.report.card.base_model import BaseModel, base_model
from flows.report.card.license import License
from flows.report.card.published import published_settings
from flows.report.status.state import run_status
from mopd.settings import Settings
from mopd.settings.condition import AutoVariant
from mopd.settings.sampling import SAMPLING
from storage.runs import RunFolder
from storage.shards import Manifest


@dataclass(frozen=True)
class CardSource:
    """All that a card says, not put into words."""

    name: str
    """Of the exported policy: its folder's, or its repository's on the hub."""
    folder: RunFolder
    plan: RunPlan
    round: int
    policy: Manifest
    settings: Settings
    """Of the round, as others may read them."""
    evaluated_by: Settings
    """By which the policy is evaluated, as others may read them: of a fork, maybe those of the round after it."""
    base: BaseModel
    license: License | None
    """None where it is not known."""
    num_rollouts: int
    """That the policy and those before it were trained on."""
    status: dict[str, Any]
    """As `mopd status --json` has it."""

    @classmethod
    def of(cls, folder: RunFolder, round: int, *, name: str, license: License | None) -> CardSource:
        """Of the policy that `round` trained; `license` in place of its base model's. Raises InputError."""
        plan = RunPlan.of(folder)
        settings = plan.at(round).settings
        base = base_model(folder, settings)
        rollouts = [shard for part in plan.rounds[: round + 1] for shard in part.needed(folder).rollouts]
        return cls(
            name=name,
            folder=folder,
            plan=plan,
            round=round,
            policy=exported_policy(folder, round),
            settings=published_settings(folder, settings),
            evaluated_by=published_settings(folder, plan.at(round + 1).settings),
            base=base,
            license=license or base.license,
            num_rollouts=sum(manifest.rows for manifest in find_manifests(folder, rollouts)),
            status=run_status(folder),
        )

    @property
    def version(self) -> int:
        """Of the policy; the initial model is 0."""
        return self.round + 1

    @property
    def digests(self) -> dict[str, Any]:
        """Of the model, the tasks and the teacher that the round follows, by their names in `run.json`."""
        return {name: getattr(self.plan.at(self.round), name) for name in DIGESTS}

    @property
    def settings_since(self) -> int:
        """The first round under these settings: rounds before it, of a fork or of a run that was redone, had others."""
        return max((below for below, _ in self.plan.earlier if below <= self.round), default=0)

    @property
    def is_heldout(self) -> bool:
        """Whether all rounds drew from the tasks that the held-out ones were kept apart from."""
        tasks = _tasks(self.plan.at(self.version))
        return all(_tasks(self.plan.at(round)) == tasks for round in range(self.version))

    @property
    def num_train(self) -> int | None:
        """Tasks that the round drew from; None where `run.json` counts those of later rounds."""
        same = _tasks(self.plan.at(self.round)) == _tasks(self.plan)
        return self.folder.document["num_train"] if same else None

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """Those that measured what this policy's does: not of other tasks, nor by other sampling or verifiers."""
        measured = _measured(self.plan.at(self.version))
        return [entry for entry in self._all_evaluations if _measured(self.plan.at(entry["policy"])) == measured]

    @property
    def num_other_evaluations(self) -> int:
        """Those that measured something else."""
        return len(self._all_evaluations) - len(self.evaluations)

    @property
    def _all_evaluations(self) -> list[dict[str, Any]]:
        return [entry for entry in self.status["evaluations"] if entry["mean_at_k"] is not None]

    @property
    def own_evaluation(self) -> dict[str, Any] | None:
        """That of this policy; None where nobody asked for one."""
        return next((entry for entry in self.evaluations if entry["policy"] == self.version), None)

    @property
    def breaches(self) -> list[dict[str, Any]]:
        """Of the run's guards, up to this policy."""
        return [row for row in self.status["guards"]["breaches"] if row["policy"] <= self.version]

    @property
    def chosen_context(self) -> str | None:
        """What a probe chose for the round, or had chosen before it; None where the settings name the context."""
        choices = [entry["choice"] for entry in self.status["rounds"][: self.round + 1] if entry["choice"] is not None]
        is_probed = isinstance(self.settings.condition.variant, AutoVariant)
        return choices[-1]["candidate"] if is_probed and choices else None

    @property
    def has_adapter(self) -> bool:
        """Whether an adapter lies beside the weights, which have it merged in."""
        return has_adapter(self.policy)

    @property
    def adapter_base(self) -> int:
        """The policy that the adapter is put on; 0 is the initial model."""
        return base_version(self.folder, self.version)


def _measured(plan: RunPlan) -> tuple[Any, ...]:
    """What an evaluation under a plan is of: how replies are asked for and judged, and which tasks."""
    sampling, tree = plan.settings.evaluation_sampling, key_tree(plan.settings)
    sampled = [getattr(sampling, name) for name in ("num_samples", *SAMPLING)]
    return sampled, tree["model"], tree["verify"], _tasks(plan)


def _tasks(plan: RunPlan) -> tuple[Any, ...]:
    return plan.settings.tasks, plan.tasks_digest
