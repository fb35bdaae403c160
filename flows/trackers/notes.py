"""What a tracker was sent of a run: `RUN/trackers/NAME.json`, so that a resumed run goes on where it was.

A run that was redone from a round on is another one in trackers: what they have can't be taken back. Its first rounds
are sent again there; where the redoing is undone, the earlier one is gone on with.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

from storage.errors import StorageError
from storage.json_files import parse_json
from storage.runs import RUN_FILE, RunFolder, is_same_run

FOLDER = "trackers"


@dataclass(frozen=True)
class SentRun:
    """A run in a tracker, and what it was sent."""

    id: str
    name: str
    chapters: dict[str, str] = field(default_factory=dict)
    """By name what each was read from, as `planned_sources` has it."""
    num_rows: int = 0
    """Points and tables of these."""
    begun: dict[str, str] = field(default_factory=dict)
    """The same as `chapters` of those that are being sent, in order: what was cut off may be there in part, and is sent
    again before anything that came since, so that each row has the number that it had."""

    def with_chapter(self, name: str, source: str, num_rows: int) -> SentRun:
        """The same with a chapter more."""
        chapters = {**self.chapters, name: source}
        return replace(self, chapters=chapters, num_rows=self.num_rows + num_rows)

    def is_of(self, sources: dict[str, str]) -> bool:
        """Whether all that it was sent is still made from `sources`."""
        return {**self.chapters, **self.begun}.items() <= sources.items()


@dataclass(frozen=True)
class Notes:
    """The runs in one tracker that a run has been."""

    tracker: str
    runs: tuple[SentRun, ...] = ()

    @classmethod
    def read(cls, folder: RunFolder, tracker: str) -> Notes:
        """Those beside the run; nothing where nothing was sent, or another run is what was sent, of which this is a
        copy. Raises StorageError for what is no such file."""
        try:
            content = parse_json(folder.store.read(_file(tracker)))
            runs = tuple(SentRun(**entry) for entry in content["runs"])
        except FileNotFoundError:
            return cls(tracker)
        except (ValueError, TypeError, KeyError) as error:
            file = f"{folder.address}/{_file(tracker)}"
            raise StorageError(f"{file} is damaged ({error}): remove it, and all is sent to a new run there") from error
        return cls(tracker, () if _is_copy(folder, content.get("address", folder.address)) else runs)

    def current(self, folder: RunFolder, sources: dict[str, str]) -> SentRun:
        """The run in the tracker that is gone on with: of those that are of `sources` the one that has most; or a new
        one."""
        valid = [run for run in self.runs if run.is_of(sources)]
        return max(valid, key=lambda run: len(run.chapters), default=_new_run(folder, len(self.runs) + 1))

    def save(self, folder: RunFolder, run: SentRun) -> None:
        """Note how that run in the tracker is now."""
        others = [other for other in self.runs if other.id != run.id]
        content = {"address": folder.address, "runs": [asdict(entry) for entry in (*others, run)]}
        folder.store.replace(_file(self.tracker), json.dumps(content, indent=1).encode())


def _file(tracker: str) -> str:
    return f"{FOLDER}/{tracker}.json"


def _is_copy(folder: RunFolder, address: str) -> bool:
    """Whether the run that was at `address` when it was noted lies there still; else it is this one, and was moved."""
    there = folder.store.beside(address)
    is_another = there.stat(RUN_FILE) != folder.store.stat(RUN_FILE)  # one folder may have several paths
    return is_another and is_same_run(there, folder.document)


def _new_run(folder: RunFolder, number: int) -> SentRun:
    """The same ones in every process: one that was killed before it noted this leaves no second run."""
    which = [folder.run_id, folder.document.get("created"), folder.address]
    digest = hashlib.sha256(json.dumps(which).encode()).hexdigest()
    later = f"-{number}" if number > 1 else ""
    return SentRun(id=f"{digest[:12]}{later}", name=f"{folder.name}{later}")
