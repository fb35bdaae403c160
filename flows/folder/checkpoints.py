"""Checkpoints of a round's training: in the run's folder, under the key of the policy, until that is there.

RUN/checkpoints/KEY-INPUTS/update-000004/      a trainer state after four updates, whole or absent
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from storage.stores.files import fsync_path, fsync_tree, make_folder, naming, remove, scratch_path, temporary_path

CHECKPOINTS = "checkpoints"


def clear_checkpoints(run: Path) -> None:
    """Remove all of a finished run: whoever was killed after its policy was there left them."""
    remove(run / CHECKPOINTS)


class RoundCheckpoints:
    """Those of one policy: the last one that was written."""

    def __init__(self, run: Path, key: str, parents: Sequence[str]) -> None:
        """`parents`: of the policy's manifest. Scores that were made anew under their key are another training."""
        inputs = hashlib.sha256(repr(parents).encode()).hexdigest()[:12]
        self._run, self._folder = run, run / CHECKPOINTS / f"{key}-{inputs}"

    def newest(self) -> Path | None:
        """The folder of the last one; None where there is none."""
        return max(self._folder.glob("update-*"), default=None)

    def write(self, number: int, write: Callable[[Path], None]) -> None:
        """Keep the folder that `write` fills, after `number` updates, in place of all that are there."""
        target = self._folder / f"update-{number:06d}"
        with scratch_path(self._run, target.name) as temporary:
            with naming(target):
                write(temporary)
            fsync_tree(temporary)
            make_folder(self._folder)
            if target.exists():  # of an attempt that this one can't go on from, or of a rank that was taken for lost
                self._remove(target)
            temporary.replace(target)
            fsync_path(self._folder)
        for other in self._folder.glob("update-*"):
            if other != target:
                self._remove(other)

    def clear(self) -> None:
        """Remove them, and what other trainings left: the policy is there."""
        if self._folder.parent.is_dir():
            self._remove(self._folder.parent)

    def _remove(self, folder: Path) -> None:
        """At once: half a checkpoint is never found."""
        with temporary_path(self._run, folder.name) as aside, suppress(FileNotFoundError):
            folder.replace(aside)
