"""How a process that was killed for want of memory is told from one that was killed by somebody."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from mopd.memory.available import own_groups

KILLS = {"memory.events": "oom_kill", "memory.oom_control": "oom_kill"}
"""Files of a control group, in versions 2 and 1, and the line that counts what was killed in it."""
MACHINE = Path("/proc/vmstat")
"""Counts them for the whole machine, as `oom_kill`."""
GIGABYTE = 1 << 30
LOOKS = 10
REFUSALS = (
    *("can't allocate memory", "CUDA out of memory", "CUDA error: out of memory"),
    "No available memory for the cache blocks",
)
"""Of torch's allocator on the CPU, torch's on a GPU, and vLLM."""


class OutOfMemory(RuntimeError):
    """The job took more memory than there is; tried again unchanged, it would again."""

    def __init__(self, how: str, peak_bytes: int = 0) -> None:
        """`peak_bytes`: what the process had taken, 0 where nobody knows."""
        super().__init__(how, peak_bytes)
        self.how, self.peak_bytes = how, peak_bytes

    def __str__(self) -> str:
        return self.how


class MemoryWatch:
    """Looks at a process while it lives, so that afterwards it can be said whether the system ended it for memory."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._status = Path(f"/proc/{pid}/status")
        self._kills = deque([count_kills()], maxlen=LOOKS)

    def look(self) -> None:
        """Note how much memory the process has taken at most, and how many were killed by now."""
        peak = _number(self._status, "VmHWM:")
        if peak is not None:  # a process that has ended has none
            self.peak_bytes = peak * 1024
            self._kills.append(count_kills())

    def was_killed(self) -> bool:
        """Whether the system has killed for memory since some looks before the last at the living process.

        Large processes take a while to die: the last look may have counted the kill already.
        """
        return count_kills() > self._kills[0]


def count_kills() -> int:
    """How many processes the system has ended for want of memory, in the groups of this process and on the machine."""
    files = [(folder / file, line) for folder in own_groups() for file, line in KILLS.items()]
    return sum(_number(file, line) or 0 for file, line in [*files, (MACHINE, "oom_kill")])


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that memory was asked for that is not there."""
    text = str(error)
    return isinstance(error, MemoryError) or any(refusal in text for refusal in REFUSALS)


def _number(file: Path, name: str) -> int | None:
    """The number behind a name at the start of a line; None where there is none."""
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return None
    return next((int(words[1]) for words in lines if words[:1] == [name]), None)
