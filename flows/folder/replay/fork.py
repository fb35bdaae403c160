"""`mopd fork`: a new run that takes over another one's rounds by reference and goes on under other settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flows.folder.inputs import check_adapter
from flows.folder.open import check_inputs_unchanged, run_document, who_runs
from flows.folder.policies import keeps_trainer_state, policy_folder
from flows.folder.tracker_libraries import check_trackers
from flows.plan.conditions import changed_settings
from flows.plan.run import DIGESTS, RunPlan
from flows.plan.stage import free_settings, is_free
from flows.runtime.shell import shell_command
from flows.runtime.worker import in_own_process
from mopd.errors import InputError
from mopd.settings import Settings, override_tree, parse_settings
from storage.lineage import create_fork, require_new
from storage.lookup import looking_once
from storage.manifests import POLICIES, Manifest
from storage.policies import removed_error
from storage.runs import RUN_FILE, RunFolder
from storage.stores.address import Address, open_store
from storage.stores.base import Store


def fork_run(parent: Address, round: int, overrides: list[str], new: Address) -> RunFolder:
    """A run in `new` that has the parent's rounds below `round`, and from there on its settings with `overrides`.

    Of later rounds, what the settings leave as it is comes along too: prompts, rollouts, verdicts, evaluations, and
    contexts and scores, whatever they were made for there. Nothing is copied, nothing is run.
    Raises InputError or StorageError, one line, with nothing created, for what can't be forked.
    """
    folder = RunFolder.open(parent)
    parent_plan = RunPlan.of(folder)
    settings = overridden(folder, parent_plan.settings, overrides)
    check_trackers(settings)
    store = _new_store(folder, new)
    _check_round(folder, parent_plan, round, settings)
    with looking_once():
        check_finished(folder, parent_plan, round, "fork at", runner=who_runs(folder))
    _check_differs(folder, settings)
    inputs = check_inputs_unchanged(folder, parent_plan, settings)
    check_policy(parent_plan, round, settings, "fork at")
    plan = parent_plan.forked(round, RunPlan(settings, **{name: inputs[name] for name in DIGESTS}))
    with looking_once():
        committed = [(shard.name, shard.find(folder)) for shard in plan.shards()]
    taken = [replace(manifest, name=name) for name, manifest in committed if manifest is not None]
    check_training(folder, folder, plan, taken, "fork at", parent_plan.settings.rounds)
    document = run_document(settings, str(folder.document.get("config")), inputs)
    lineage = {"round": round, "set": overrides, "earlier": describe_earlier(plan)}
    return create_fork(folder, store, document, lineage, taken)


def check_fork(folder: RunFolder, parent: Address, round: int, overrides: list[str]) -> None:
    """Raises InputError for a run that isn't the fork of that one with these settings."""
    asked = {"path": open_store(parent).address, "round": round, "set": overrides}
    if not asked.items() <= folder.lineage.items():
        raise InputError(f"{folder.address}: is there already, and is another run than this fork; name a new folder")


def _new_store(parent: RunFolder, new: Address) -> Store:
    """Where the fork goes: beside its parent, since it reads what that one has."""
    store = open_store(new)
    if type(store) is not type(parent.store):
        raise InputError(f"{new}: {parent.address} lies in another store; a fork reads its parent, name a place there")
    require_new(store)
    return store


def overridden(folder: RunFolder, settings: Settings, overrides: list[str]) -> Settings:
    """A run's settings with `key=value` overrides. Raises InputError."""
    tree = override_tree(settings.model_dump(mode="json"), overrides)
    return parse_settings(tree, source=f"{folder.address}/{RUN_FILE} with --set")


def describe_earlier(plan: RunPlan) -> list[dict[str, Any]]:
    """What run.json says of the rounds that follow other settings than the run's: `RunFolder.earlier`."""
    return [
        {
            "below": below,
            "settings": part.settings.model_dump(mode="json"),
            **{name: getattr(part, name) for name in DIGESTS},
        }
        for below, part in plan.earlier
    ]


def _check_round(folder: RunFolder, parent_plan: RunPlan, round: int, settings: Settings) -> None:
    last = parent_plan.settings.rounds
    if not 0 <= round <= last:
        raise InputError(f"--round {round}: {folder.address} has rounds 0 to {last - 1}; fork at 0 to {last}")
    if round >= settings.rounds:
        raise InputError(
            f"--round {round}: nothing is left to run with rounds: {settings.rounds}; --set rounds={round + 1} or more"
        )


def check_finished(folder: RunFolder, plan: RunPlan, round: int, go_on: str, *, runner: str | None = None) -> None:
    """Everything below `round` must be there: it can't be made under other settings.

    `go_on`: the words for going on at another round, as in the checks that follow. `runner`: who makes it already.
    Raises InputError, as they do.
    """
    shards = [shard for part in plan.rounds[:round] for shard in part.needed(folder).all()]
    missing = plan.missing_of(folder, shards)
    if missing:
        first = f"wait for {runner}, which runs it" if runner else f"{shell_command('run', folder.address)} first"
        raise InputError(
            f"--round {round}: round {missing[0].round} of {folder.address} is not finished; {first}, or {go_on} "
            f"{missing[0].round} or earlier"
        )


def _check_differs(folder: RunFolder, settings: Settings) -> None:
    differences = changed_settings(folder, settings)
    if all(is_free(name, free_settings(settings)) for name in differences):
        raise InputError(
            f"{folder.address}: no setting that decides a result differs; give --set KEY=VALUE, or continue the run "
            "itself"
        )


def check_policy(plan: RunPlan, round: int, settings: Settings, go_on: str) -> None:
    """A policy that was trained goes on from its own weights and tokenizer."""
    model = plan.settings.model.path
    if round and settings.model.path != model:
        raise InputError(
            f"--set model.path: at round {round} the run goes on from its own policy, {model} trained; "
            f"{go_on} 0 for another model"
        )


def check_training(
    folder: RunFolder, new: RunFolder, plan: RunPlan, there: Sequence[Manifest], go_on: str, last: int
) -> None:
    """What is still to be made needs the weights of policies, the first round that is still to be trained the trainer
    state that the one before it left, and its adapter.

    `new`: the run that trains it, or what that goes on from; `there`: what the plan has already; `last`:
    the last round that the command may name.
    """
    policies = {manifest.round: manifest for manifest in there if manifest.table == POLICIES}
    first = next((number for number in range(plan.settings.rounds) if number not in policies), 0)
    wanted = {read.round for shard in plan.missing(new) for read in shard.read if read.table == POLICIES}
    for policy in (policies[round] for round in sorted(wanted & policies.keys())):
        if policy.removed:
            raise removed_error(new, policy)
    if first and not keeps_trainer_state(new, first):
        raise _trainer_state_error(folder, first, go_on, last)
    _check_adapter(new, plan.settings, first)


def _trainer_state_error(folder: RunFolder, first: int, go_on: str, last: int) -> InputError:
    kept = [0, *(number for number in range(1, last + 1) if keeps_trainer_state(folder, number))]
    return InputError(
        f"--round {first}: the trainer state that round {first} begins with was removed from {folder.address}; {go_on} "
        f"{' or '.join(map(str, kept))}, or run it again in another folder with a larger train.keep_trainer_states"
    )


def _check_adapter(folder: RunFolder, settings: Settings, first: int) -> None:
    """The adapter that the round before left must fit `train.lora`."""
    if first and settings.train.lora is not None:
        in_own_process(check_adapter, settings, policy_folder(folder, first))
