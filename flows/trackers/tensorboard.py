"""TensorBoard: event files beside the run, a whole one for each chapter, so that sending again writes the same file.

RUN/trackers/tensorboard/NAME/events.out.tfevents.0000000003.round_1     read in the order of these names
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.utils.tensorboard import SummaryWriter

from flows.trackers.content.words import completion_text, settings_text
from flows.trackers.notes import FOLDER
from flows.trackers.tracker import COMPLETIONS, Chapter, Row, TrackedRun


class TensorBoard:
    """A folder that TensorBoard is pointed to; of a run in a bucket it lies there too."""

    def __init__(self, run: TrackedRun) -> None:
        self._run, self._num_chapters = run, run.num_chapters
        if not run.num_chapters:  # later, TensorBoard has read that file
            self._put(0, "settings", lambda writer: writer.add_text("settings", settings_text(run.settings), 0))

    def write(self, chapter: Chapter) -> None:
        """Its event file."""
        self._num_chapters += 1
        self._put(self._num_chapters, chapter.name.replace(" ", "_"), lambda writer: _add(writer, chapter))

    def close(self) -> None:
        """Nothing is left to write."""

    def _put(self, number: int, name: str, add: Callable[[SummaryWriter], None]) -> None:
        """An event file with what `add` adds. It gets its name when it is whole: TensorBoard reads each once."""
        with TemporaryDirectory(prefix="mopd-tensorboard-") as folder:
            with SummaryWriter(folder) as writer:
                add(writer)
            (file,) = Path(folder).iterdir()
            content = file.read_bytes()
        place = f"{FOLDER}/tensorboard/{self._run.name}"
        self._run.store.replace(f"{place}/events.out.tfevents.{number:010d}.{name}", content)


def _add(writer: SummaryWriter, chapter: Chapter) -> None:
    for point in chapter.points:
        for name, value in point.values.items():
            writer.add_scalar(name, value, point.step, walltime=chapter.seconds)
    if chapter.completions:
        writer.add_text(COMPLETIONS, _completions_text(chapter.completions), chapter.round, walltime=chapter.seconds)


def _completions_text(rows: list[Row]) -> str:
    return "\n\n---\n\n".join(completion_text(row) for row in rows)
