"""Settings of where a run lies, beside its address."""

from __future__ import annotations

from mopd.settings.base import Frozen


class StoreSettings(Frozen):
    """How a run in a bucket (`--run s3://bucket/prefix`) is reached; credentials are those of the environment."""

    endpoint: str | None = None
    """Of a store that isn't Amazon's, e.g. `http://10.0.0.1:8333`. Null: `AWS_ENDPOINT_URL` where it is set, which all
    commands but `mopd run CONFIG` go by."""
