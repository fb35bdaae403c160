"""Where storage says what a user should know and need not act on."""

from __future__ import annotations

import logging

LOGGER = logging.getLogger("mopd.storage")
