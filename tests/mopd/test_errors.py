"""What the system refuses a library is the system's error to whoever called, with the file's name."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from mopd.errors import InputError, is_full_disk, writing
from tests.small_files import REFUSED, files_of_at_most

FULL = "Data processing error: CAS service error : IO Error: No space left on device (os error 28)"
WRITERS: dict[str, Callable[[Path], object]] = {
    "safetensors": lambda path: save_file({"weight": torch.zeros(10_000)}, path),
    "tokenizers": lambda path: Tokenizer(models.BPE({f"t{i}": i for i in range(10_000)}, [])).save(str(path)),
    "python": lambda path: path.write_bytes(bytes(10_000)),
    "a copy of a folder": lambda path: shutil.copytree(Path(__file__).parent, path),
}


@pytest.mark.parametrize("library", WRITERS)
def test_whichever_library_writes_the_error_is_the_systems_and_names_the_file(tmp_path: Path, library: str) -> None:
    path = tmp_path / "file"
    with files_of_at_most(5_000), pytest.raises(OSError, match=REFUSED) as caught, writing(path):
        WRITERS[library](path)
    refused = caught.value
    assert (refused.errno, refused.strerror, refused.filename) == (errno.EFBIG, REFUSED, str(path))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "inner"),
        InputError("the model can't be loaded (No such file or directory (os error 2))"),
        ValueError("a bug"),
    ],
    ids=str,
)
def test_an_error_that_names_its_file_or_is_another_one_stays_as_it_is(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing(tmp_path):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (RuntimeError(FULL), True),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (RuntimeError("Permission denied (os error 13)"), False),
        (OSError("no space"), False),
    ],
    ids=str,
)
def test_a_full_disk_is_known_by_its_number(error: Exception, is_full: bool) -> None:
    assert is_full_disk(error) is is_full
