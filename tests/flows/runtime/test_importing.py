"""What is imported is looked through for garbage neither meanwhile nor later."""

from __future__ import annotations

import gc

import pytest

from flows.runtime.importing import importing


@pytest.fixture(autouse=True)
def thawed() -> object:
    """As it was, after each test."""
    yield
    gc.unfreeze()


def test_nothing_is_collected_meanwhile_and_what_was_made_stays_out_of_it() -> None:
    with importing():
        assert not gc.isenabled()
        made = [[]]
    assert gc.isenabled()
    assert not any(item is made for item in gc.get_objects())


def test_an_import_that_fails_leaves_it_on() -> None:
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()
