"""Slots of the server's `mopd-device` limit: taken while a stage holds devices, given back whatever happens.

Prefect holds them by a lease, which it renews. A killed holder's lease ends by itself after LEASE_SECONDS. Leases that
a server keeps in its memory are forgotten when it is started again, but the slots stay counted as taken: those are
given back by whoever held them, or by the next start of the run, which reads what its predecessor noted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.runtime.server.patience import is_temporary
from mopd.errors import InputError
from storage.stores.files import write_replacing

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

DEVICE_LIMIT = "mopd-device"
LEASE_SECONDS = 60.0
"""A killed holder's slot comes free after this time and a few seconds, or when its run is started again."""
NOTE = "device-slots.json"
"""In the run's folder on this host, while slots are held."""
NO_LIMIT, SERVER_SECONDS = "mopd-server-memory", 24 * 60 * 60.0
"""A lease on a limit that isn't there takes nothing; this one lasts as long as any can. A server that knows it has
forgotten no other; after that time nobody can tell, and what may be others' is left to them."""


@dataclass(frozen=True)
class Held:
    """Slots that are held: for the run in which folder, by which server, by which lease."""

    folder: str
    server: str
    lease: str
    slots: int
    witness: str
    """The lease on NO_LIMIT."""
    since: float
    """Seconds since the epoch."""


@contextmanager
def device_slots(number: int, folder: Path) -> Iterator[bool]:
    """Hold so many slots; at once, and false, where the server has no such limit. They are noted in the run's folder.

    A server of the run's own has no other users. Raises InputError where the limit is lower.
    """
    lease = None if is_temporary() or not number else _take(number)
    if lease is None:
        yield False
        return
    from prefect.client.orchestration import get_client
    from prefect.concurrency._leases import maintain_concurrency_lease

    with get_client(sync_client=True) as client:
        held = Held(
            str(folder.resolve()), str(client.api_url), str(lease), number, _lease_on_nothing(client), time.time()
        )
    write_replacing(folder, folder / NOTE, json.dumps(asdict(held)).encode())
    try:
        with maintain_concurrency_lease(lease, LEASE_SECONDS):
            yield True
    finally:
        give_slots_back(folder)


def give_slots_back(folder: Path) -> None:
    """What is noted in a run's folder: by who held it, or, once that is dead, by who holds the run now.

    In a copy of a folder it is what the other run may hold.
    """
    note = folder / NOTE
    if not note.exists():
        return
    from prefect.client.orchestration import get_client

    held = _read(note)
    with get_client(sync_client=True) as client:
        if held is None or (held.folder, held.server) != (str(folder.resolve()), str(client.api_url)):
            note.unlink(missing_ok=True)
            return
        _give_back(client, held)
        note.unlink(missing_ok=True)  # before the witness: a start that still reads the note still has its word
        client.release_concurrency_slots_with_lease(UUID(held.witness))


def _give_back(client: SyncPrefectClient, held: Held) -> None:
    """Where the server knows the lease no more, it came to its end, and the slots with it, or it was forgotten."""
    if _renew(client, held.lease, LEASE_SECONDS):
        client.release_concurrency_slots_with_lease(UUID(held.lease))
    elif not _renew(client, held.witness, SERVER_SECONDS) and time.time() - held.since < SERVER_SECONDS:
        client.release_concurrency_slots([DEVICE_LIMIT], held.slots, 1.0)


def _read(note: Path) -> Held | None:
    """None for a damaged note."""
    try:
        return Held(**json.loads(note.read_bytes()))
    except (ValueError, TypeError):
        return None


def _renew(client: SyncPrefectClient, lease: str, seconds: float) -> bool:
    """Whether the server knows a lease."""
    from httpx import HTTPStatusError

    try:
        client.renew_concurrency_lease(UUID(lease), seconds)
    except HTTPStatusError as error:
        if error.response.status_code != HTTPStatus.GONE:
            raise
        return False
    return True


def _lease_on_nothing(client: SyncPrefectClient) -> str:
    reply: Any = client.increment_concurrency_slots_with_lease([NO_LIMIT], 1, "concurrency", SERVER_SECONDS)
    return str(reply.json()["lease_id"])


def _take(number: int) -> UUID | None:
    """The lease of so many slots; None where the server has no such limit. Raises InputError where it is lower."""
    from prefect.concurrency._sync import acquire_concurrency_slots_with_lease
    from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError

    try:
        taken = acquire_concurrency_slots_with_lease([DEVICE_LIMIT], number, lease_duration=LEASE_SECONDS)
    except ConcurrencySlotAcquisitionError as error:
        response = getattr(error.__cause__, "response", None)
        if response is None or response.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        raise InputError(
            f"{DEVICE_LIMIT}: this stage takes {number} devices, and the server's limit is lower; "
            f"`prefect gcl update {DEVICE_LIMIT} --limit {number}`, or lower place.devices"
        ) from error
    return taken.lease_id if taken.limits else None
