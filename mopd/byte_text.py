"""Bytes in words, of files and transfers: a kB is 1,000 bytes. Memory is told in GB of 2^30 (`mopd.memory.plan`)."""

from __future__ import annotations

UNITS = ((1e9, "GB"), (1e6, "MB"))


def byte_text(num_bytes: float) -> str:
    """4.1 GB, 12.0 MB, 3 kB."""
    for size, unit in UNITS:
        if round(num_bytes / size, 1) >= 1:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes / 1e3:,.0f} kB"
