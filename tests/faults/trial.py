"""One run under faults: begun, struck, begun again, completed; and then held against one that nothing happened to."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.e2e.harness import FAKE, TINY, Prefect
from tests.faults.checks import Files, commits_in_order, committed_files, leftovers, rows_of, stage_of
from tests.faults.process import RUN_SECONDS, Moment, Started

MOST_STARTS = 3
"""After the last strike: one that finds what is wrong, says so and ends, and one that completes the run."""
UNFINISHED = {"RUNNING", "PENDING", "CANCELLING"}
STATES_SECONDS = 60.0
"""How long Prefect's server may take to hear of the last states."""


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happened to."""

    run: Path
    digest: str

    @cached_property
    def commits(self) -> list[str]:
        """Names of its manifests in the order of their commits: other runs of these settings have the same ones."""
        return commits_in_order(self.run)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Of each table."""
        return rows_of(self.run)


@dataclass
class Trial:
    """Starts of one run, and what happened to each."""

    fault: str
    run: Path
    prefect: Prefect
    undisturbed: Undisturbed
    draw: random.Random
    env: Mapping[str, str]
    """Of its processes."""
    outputs: Path
    """A folder for what they print."""
    overrides: tuple[str, ...] = FAKE
    hits: list[str] = field(default_factory=list)
    """The stages that were at work when it was struck."""
    in_flight: int = 0
    """Most workers at work at a strike: so many shards are made again at most."""
    kept: Files = field(default_factory=dict)
    """What was committed at the strikes."""
    completed: bool = False
    began: float = field(default_factory=time.monotonic)
    _starts: list[Started] = field(default_factory=list)

    def start(self, **options: object) -> Started:
        """Begin the run, or go on with it."""
        output = self.outputs / f"{self.run.name}-start-{len(self._starts)}.log"
        arguments = [str(TINY), "--run", str(self.run), *self.overrides]
        self._starts.append(Started(arguments, self.env, output, **options))
        return self._starts[-1]

    def committed(self) -> int:
        """How many of its shards are committed."""
        return sum((self.run / name).exists() for name in self.undisturbed.commits)

    def at_work(self) -> str:
        """The stage that makes the next shard."""
        if not (self.run / "run.json").exists():
            return "start"
        return next((stage_of(name) for name in self.undisturbed.commits if not (self.run / name).exists()), "end")

    def moments(self, number: int) -> list[Moment]:
        """So many, one after the other, over all of what there is to do."""
        numbers = sorted(self.draw.randrange(len(self.undisturbed.commits)) for _ in range(number))
        return [Moment.draw(self.draw, commits) for commits in numbers]

    def strike(self, started: Started, strike: Callable[[Started], object]) -> None:
        """Do it, and note what it hit."""
        self.in_flight = max(self.in_flight, len(started.workers()))
        self.hits.append(self.at_work())
        strike(started)

    def note_committed(self) -> None:
        """Nothing of the run is at work: what is committed now must stay as it is."""
        self.kept |= committed_files(self.run)

    def complete(self) -> None:
        """Start until the run is complete; each start before that says what is wrong in one line."""
        self._complete(self._run_process)

    def complete_warm(self) -> None:
        """The same in an interpreter that has run others, for runs that nothing happens to meanwhile: it is faster."""
        self._complete(self._run_warm)

    def _complete(self, run: Callable[[], tuple[int, str]]) -> None:
        for _ in range(MOST_STARTS):
            code, output = run()
            if code == 0:
                break
            self.check_said(output)
        assert code == 0, output
        self.check_whole()

    def _run_process(self) -> tuple[int, str]:
        started = self.start()
        return started.wait(), started.output

    def _run_warm(self) -> tuple[int, str]:
        done = self.prefect.mopd("run", TINY, "--run", self.run, *self.overrides, seconds=RUN_SECONDS)
        return done.returncode, done.stdout + done.stderr

    def check_said(self, output: str) -> None:
        """A start that came to nothing ends with one line of its own, without a traceback."""
        assert "Traceback" not in output and "Fatal" not in output, output
        said = [line for line in output.splitlines() if line.startswith("mopd: ")]
        assert len(said) == 1 and output.rstrip().splitlines()[-1] == said[0], output

    def check_whole(self) -> None:
        """The run is what it would have been, nothing is lost or twice, and nothing of the trial is left anywhere."""
        now = committed_files(self.run)
        changed = [name for name, file in self.kept.items() if now.get(name) != file]
        assert changed == [], "was made again"
        assert rows_of(self.run) == self.undisturbed.rows
        assert self.prefect.mopd("digest", self.run).stdout == self.undisturbed.digest
        assert leftovers(self.run) == []
        for started in self._starts:
            assert started.family() == []
        self._check_states()
        self.completed = True

    def _check_states(self) -> None:
        def unfinished() -> list[Any]:
            runs = [*self.prefect.flow_runs(self.run), *self.prefect.task_runs(self.run)]
            return [(run["name"], run["state_type"]) for run in runs if run["state_type"] in UNFINISHED]

        deadline = time.monotonic() + STATES_SECONDS
        while left := unfinished():
            assert time.monotonic() < deadline, f"Prefect has {left} as unfinished"
            time.sleep(1.0)

    def end(self) -> None:
        """Whatever happened, no process stays behind."""
        for started in self._starts:
            started.end()

    def result(self) -> dict[str, Any]:
        """What the table says of it."""
        return {
            "fault": self.fault,
            "hits": self.hits,
            "completed": self.completed,
            "starts": len(self._starts),
            "in_flight": self.in_flight,
            "seconds": time.monotonic() - self.began,
        }
