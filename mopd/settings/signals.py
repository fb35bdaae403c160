"""Settings of the numbers that say how well the teacher sees what the verifier sees (`mopd.measures.signals`)."""

from __future__ import annotations

from mopd.settings.base import Frozen, NonNegativeInt


class SignalSettings(Frozen):
    """How well the teacher's scores agree with the verifier: taken in every round, trained on never."""

    control_groups: NonNegativeInt = 4
    """Groups a round that are also shown random peers (`random_peer`), for comparison; 0: none."""
