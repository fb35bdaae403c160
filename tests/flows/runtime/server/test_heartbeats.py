"""A flow that sends no heartbeats has no thread to wait for."""

from __future__ import annotations

from prefect.settings import get_current_settings

from flows.runtime.server.heartbeats import without_heartbeats


def test_flows_that_begin_within_it_send_none() -> None:
    before = get_current_settings().flows.heartbeat_frequency
    with without_heartbeats():
        assert get_current_settings().flows.heartbeat_frequency is None
    assert get_current_settings().flows.heartbeat_frequency == before
