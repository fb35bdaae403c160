"""What a tracker was sent of a run: `RUN/trackers/NAME.json`, so that a resumed run goes on where it was.

A run that was redone from a round on is another one in trackers: what they have can't be taken back. Its first rounds
are sent again there; where the redoing is undone, the earlier one is gone on with.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

from storage.errors import StorageError
from storage.runs import RunFolder

FOLDER = "trackers"


@dataclass(frozen=True)
class Sent:
    """A run in a tracker."""

    id: str
    name: str
    chapters: dict[str, str] = field(default_factory=dict)
    """By name the key of the policy that each is about."""
    num_rows: int = 0
    """Points and tables of these."""

    def is_superseded(self, folder: RunFolder) -> bool:
        """Whether it has anything that the run has not any more."""
        return any(key in folder.superseded for key in self.chapters.values())

    def with_chapter(self, name: str, policy_key: str, num_rows: int) -> Sent:
        """The same with a chapter more."""
        chapters = {**self.chapters, name: policy_key}
        return replace(self, chapters=chapters, num_rows=self.num_rows + num_rows)


@dataclass(frozen=True)
class Notes:
    """The runs in one tracker that a run has been."""

    tracker: str
    runs: tuple[Sent, ...] = ()

    @classmethod
    def read(cls, folder: RunFolder, tracker: str) -> Notes:
        """Those beside the run; nothing where nothing was sent. Raises StorageError for what is no such file."""
        try:
            content = json.loads(folder.store.read(_file(tracker)))
            return cls(tracker, tuple(Sent(**entry) for entry in content["runs"]))
        except FileNotFoundError:
            return cls(tracker)
        except (ValueError, TypeError, KeyError) as error:
            file = f"{folder.address}/{_file(tracker)}"
            raise StorageError(f"{file} is damaged ({error}): remove it, and all is sent to a new run there") from error

    def current(self, folder: RunFolder) -> Sent:
        """The run in the tracker that is gone on with: the latest of which nothing is superseded, or a new one."""
        valid = [run for run in self.runs if not run.is_superseded(folder)]
        return valid[-1] if valid else _new_run(folder, len(self.runs) + 1)

    def save(self, folder: RunFolder, run: Sent) -> None:
        """Note how that run in the tracker is now."""
        others = [other for other in self.runs if other.id != run.id]
        content = {"runs": [asdict(entry) for entry in (*others, run)]}
        folder.store.replace(_file(self.tracker), json.dumps(content, indent=1).encode())


def _file(tracker: str) -> str:
    return f"{FOLDER}/{tracker}.json"


def _new_run(folder: RunFolder, number: int) -> Sent:
    """The same ones in every process: one that was killed before it noted this leaves no second run."""
    made = hashlib.sha256(json.dumps([folder.run_id, folder.document.get("created")]).encode()).hexdigest()
    later = f"-{number}" if number > 1 else ""
    return Sent(id=f"{made[:12]}{later}", name=f"{folder.run_id}{later}")
