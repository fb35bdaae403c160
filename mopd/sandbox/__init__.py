"""Where code that a model wrote runs: nothing it does reaches the host, and nothing it says is believed."""

from mopd.sandbox.backends import open_sandbox, probe_sandbox
from mopd.sandbox.base import Limits, Outcome, Program, Sandbox, Status

__all__ = ["Limits", "Outcome", "Program", "Sandbox", "Status", "open_sandbox", "probe_sandbox"]
