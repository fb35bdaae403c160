"""Prefect runs that a kill left `Running`: found by a tag, set to `Crashed` when the run is started again."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import Crashed

from storage.runs import RunFolder

UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def run_tag(folder: RunFolder) -> str:
    """What all Prefect runs for this folder on this machine carry."""
    return f"mopd-run:{platform.node()}:{folder.address}"


def tag_this_run(folder: RunFolder) -> None:
    """Give the current flow run the folder's tag, so that a later start finds it."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(flow_run.id), tags=[*flow_run.tags, "mopd", run_tag(folder)])


def crash_stale_runs(folder: RunFolder) -> int:
    """Set unfinished Prefect runs of this folder, but for the current one, to Crashed; returns how many.

    The caller holds the folder's lock, so the processes of all others are gone.
    """
    with get_client(sync_client=True) as client:
        stale = [*_flow_runs(client, run_tag(folder)), *_task_runs(client, run_tag(folder))]
        crashed = Crashed(message="The process that ran this was killed; the run was started again.")
        for kind, run_id in stale:
            if kind == "flow":
                client.set_flow_run_state(run_id, crashed, force=True)
            else:
                client.set_task_run_state(run_id, crashed, force=True)
    return len(stale)


def _flow_runs(client: SyncPrefectClient, tag: str) -> list[tuple[str, UUID]]:
    unfinished = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED)),
    )
    runs = _all_pages(partial(client.read_flow_runs, flow_run_filter=unfinished))
    return [("flow", run.id) for run in runs if str(run.id) != flow_run.id]


def _task_runs(client: SyncPrefectClient, tag: str) -> list[tuple[str, UUID]]:
    """Steps carry no tag: each tag would be a question to the server before the step."""
    of_folder = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag]))
    unfinished = TaskRunFilter(state=TaskRunFilterState(name=None, type=TaskRunFilterStateType(any_=UNFINISHED)))
    runs = _all_pages(partial(client.read_task_runs, flow_run_filter=of_folder, task_run_filter=unfinished))
    return [("task", run.id) for run in runs]


def _all_pages(read: Callable[..., Any]) -> list[Any]:
    """All that a question to the server finds: an answer has 200 of them at most, newest first."""
    items: list[Any] = []
    while page := read(offset=len(items)):
        items += page
    return items
