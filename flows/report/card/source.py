"""What a model card is written from: a policy, the run that trained it, and what that measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.folder.export import exported_policy
from flows.folder.policies import base_version, has_adapter
from flows.plan.run import RunPlan
from flows.report.artifacts import find_manifests
from flows.report.card.base_model import BaseModel, base_model
from flows.report.card.license import License
from flows.report.card.published import published_settings
from flows.report.status.state import run_status
from mopd.settings import Settings
from storage.runs import RunFolder
from storage.shards import Manifest


@dataclass(frozen=True)
class CardSource:
    """All that a card says, not put into words."""

    name: str
    """Of the exported policy: its folder's, or its repository's on the hub."""
    folder: RunFolder
    round: int
    policy: Manifest
    settings: Settings
    """Of the round, as others may read them."""
    settings_since: int
    """The first round that followed them: rounds before it, of a fork or of a run that was redone, had others."""
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
            round=round,
            policy=exported_policy(folder, round),
            settings=published_settings(folder, settings),
            settings_since=max((below for below, _ in plan.earlier if below <= round), default=0),
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
    def evaluations(self) -> list[dict[str, Any]]:
        """Those that were made."""
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
    def has_adapter(self) -> bool:
        """Whether an adapter lies beside the weights, which have it merged in."""
        return has_adapter(self.policy)

    @property
    def adapter_base(self) -> int:
        """The policy that the adapter is put on; 0 is the initial model."""
        return base_version(self.folder, self.version)
