"""Seeds depend on every part, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.seeds import derive_seed


def test_values_stay_what_they_are() -> None:
    """Runs are reproduced across releases: these numbers may not change."""
    assert derive_seed(0) == 7520536977032167579
    assert derive_seed("tasks", 7, "larger-27-40") == 3237728518533051539
    assert derive_seed(1, bits=31) == 67456874


def test_place_type_and_boundaries_of_parts_count() -> None:
    parts: list[tuple[int | str, ...]] = [
        (1,),
        ("1",),
        (1, 2),
        (2, 1),
        ("a", "b"),
        ("ab",),
        ("a,b",),
        (12,),
        ('a", "b',),
    ]
    assert len({derive_seed(*part) for part in parts}) == len(parts)


def test_numpy_integers_are_integers() -> None:
    assert derive_seed("x", np.int32(5)) == derive_seed("x", 5)  # type: ignore[arg-type]


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError):
        derive_seed(0.5)  # type: ignore[arg-type]


@given(st.integers(), st.text(), st.integers(min_value=1, max_value=256))
def test_range(number: int, text: str, bits: int) -> None:
    assert 0 <= derive_seed(number, text, bits=bits) < 2**bits


def test_a_run_of_samples_has_no_collision_in_31_bits_by_position() -> None:
    seeds = {
        derive_seed(0, round, f"p{prompt}", sample) for round in range(4) for prompt in range(32) for sample in range(8)
    }
    assert len(seeds) == 4 * 32 * 8
