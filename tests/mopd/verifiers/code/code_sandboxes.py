"""Real sandboxes for the tests of the code verifier."""

from __future__ import annotations

import pytest

from mopd.errors import InputError
from mopd.sandbox import Sandbox, open_sandbox
from mopd.settings.verify import VerifySettings

BACKENDS = ("unsafe_subprocess", "bubblewrap")


def opened(*backends: str) -> Sandbox:
    """The first of these sandboxes that works, with two slots; skips the test where none does."""
    reasons = []
    for backend in backends:
        try:
            return open_sandbox(VerifySettings.model_validate({"sandbox": backend, "sandbox_slots": 2}))
        except InputError as error:
            reasons.append(str(error))
    pytest.skip("; ".join(reasons))
