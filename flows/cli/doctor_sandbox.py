"""What the doctor says of the sandbox, where code that a model wrote runs."""

from __future__ import annotations

from typing import Literal

from mopd.sandbox.backends import FIX, probe_sandbox, working_backend
from mopd.sandbox.cgroups import homes


def look_at_sandbox() -> tuple[Literal["ok", "warn"], str, str]:
    """Status, what was found, and the fix: runs a trivial program where programs can be isolated. Only code tasks need
    this, so nothing stops a run."""
    reason = probe_sandbox()
    if reason is not None:
        return "warn", f"code tasks are refused: {reason}", FIX
    version = working_backend("bubblewrap").version
    hard = sorted({controller for _, _, controller in homes()})
    limits = f"control groups for {' and '.join(hard)}" if hard else "no control groups: limits are each process's"
    return "ok", f"{version}; {limits}", ""
