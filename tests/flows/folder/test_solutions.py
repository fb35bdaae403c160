"""A run whose teacher is shown solutions begins where some task has one."""

from __future__ import annotations

import pytest

from flows.folder.inputs import check_solutions
from mopd.errors import InputError
from mopd.settings import parse_settings
from mopd.tasks.task import Task


def task(**metadata: str) -> Task:
    return Task("t", [{"role": "user", "content": "1 + 1?"}], "2", "numeric", "sums", metadata)


@pytest.mark.parametrize("variant", ["reference", {"kind": "auto", "candidates": ["none", "reference"]}])
def test_solutions_are_shown_where_there_are_some(variant: object) -> None:
    settings = parse_settings({"condition": {"variant": variant}})
    check_solutions([task(), task(solution="Count.")], settings)
    with pytest.raises(InputError, match=r"condition\.variant: reference shows .* none of the tasks .* has one"):
        check_solutions([task(), task(solution=" ")], settings)


def test_other_contexts_need_no_solution() -> None:
    check_solutions([task()], parse_settings({"condition": {"variant": "none"}}))
