"""Bytes as people read them."""

from __future__ import annotations

import pytest

from mopd.byte_text import byte_text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 kB"),
        (2_600, "3 kB"),
        (999_949, "1.0 MB"),
        (12e6, "12.0 MB"),
        (999_960_000, "1.0 GB"),
        (4.1e9, "4.1 GB"),
        (1.6e16, "16,000,000.0 GB"),
    ],
)
def test_the_largest_unit_of_which_there_is_a_whole_one(num_bytes: float, text: str) -> None:
    assert byte_text(num_bytes) == text
