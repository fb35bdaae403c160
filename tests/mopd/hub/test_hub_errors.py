"""What the hub's libraries meet is one line of ours."""

from __future__ import annotations

import pytest

from mopd.errors import InputError
from mopd.hub.errors import hub_errors
from mopd.hub.names import HubName

NAME = HubName("model", "acme/policy", None)
OF_XET = "Data processing error: CAS service error : "


def test_a_disk_that_is_full_is_named_whichever_library_filled_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/cache")
    line = "^model.path: acme/policy: no room is left in /cache; free some and start again, or set HF_HUB_CACHE to "
    with pytest.raises(InputError, match=line), hub_errors(NAME, "model.path"):
        raise RuntimeError(f"{OF_XET}IO Error: No space left on device (os error 28)")


def test_another_error_of_a_library_is_raised() -> None:
    with pytest.raises(RuntimeError, match="a bug"), hub_errors(NAME, "model.path"):
        raise RuntimeError("a bug")
