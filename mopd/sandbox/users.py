"""Who a slot runs as: where we are root, a user of its own on this machine, which nobody else uses meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import tempfile
from pathlib import Path
from typing import Any

from mopd.sandbox.interpreter import require_own
from mopd.sandbox.process import SandboxFailure

FIRST_UID, NUM_UIDS = 64_000, 1_000


class SlotUser:
    """A real user id for one slot, leased until `release`. None where we aren't root: then programs run as ourselves,
    and limits on processes are the namespace's."""

    def __init__(self) -> None:
        self.uid: int | None = None
        self._lock: int | None = None
        if os.geteuid() == 0:
            self.uid, self._lock = lease_uid()

    def popen_arguments(self) -> dict[str, Any]:
        """Arguments of `subprocess.Popen` that make the process this user's, with no group but its own."""
        return {} if self.uid is None else {"user": self.uid, "group": self.uid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Gives a file or folder to the user."""
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)

    def release(self) -> None:
        """Gives the user id back; its processes must be gone."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def lease_uid() -> tuple[int, int]:
    """A user id that no account and no other slot of this machine has, and the locked file that holds it."""
    folder = lock_folder()
    for uid in range(FIRST_UID, FIRST_UID + NUM_UIDS):
        if has_account(uid):
            continue
        lock = os.open(folder / f"uid-{uid}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return uid, lock
    raise SandboxFailure(f"all user ids from {FIRST_UID} to {FIRST_UID + NUM_UIDS - 1} are in use")


def has_account(uid: int) -> bool:
    with contextlib.suppress(KeyError):
        pwd.getpwuid(uid)
        return True
    return False


def lock_folder() -> Path:
    """Where the locks are: the same for every process of root's on this machine."""
    base = Path("/run") if Path("/run").is_dir() else Path(tempfile.gettempdir())
    folder = base / "mopd-sandbox"
    folder.mkdir(mode=0o700, exist_ok=True)
    return require_own(folder)
