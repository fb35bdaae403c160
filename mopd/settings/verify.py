"""Settings of how rollouts are judged, and of the sandbox that code runs in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mopd.settings.base import Frozen, PositiveInt


class LimitSettings(Frozen):
    """What a program may use, each test anew."""

    cpu_seconds: Annotated[float, Field(gt=0.0)] = 6.0
    """CPU time of one test; a task's own `time_limit` goes before it. Wall-clock time is limited to a multiple."""
    memory_mb: PositiveInt = 512
    """Address space of a process."""
    num_processes: PositiveInt = 64
    """Processes and threads."""
    file_mb: PositiveInt = 16
    """Largest file, and all of /tmp."""
    num_open_files: PositiveInt = 64
    """Descriptors of a process."""
    output_kb: PositiveInt = 64
    """Output of one test, or its result as JSON."""


class VerifySettings(Frozen):
    """How rollouts are judged."""

    verifier: str | None = None
    """What judges everything, instead of what each task names: a verifier, or `package.module:function`."""
    version: str | None = None
    """A word for the version of the verifiers: under another one all is judged again. It changes nothing else."""
    success_threshold: float = 1.0
    """A rollout is a success when reward >= this."""
    code_reward: Literal["all", "share"] = "all"
    """Code: `all`: 1 when every test passes (the paper); `share`: the share of tests passed."""
    sandbox: Literal["bubblewrap", "unsafe_subprocess"] = "bubblewrap"
    """Where code that a model wrote runs. `unsafe_subprocess` isolates nothing: for machines that are thrown away."""
    sandbox_slots: PositiveInt | None = None
    """Programs run at once. Null: one a core."""
    packages: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Installed packages, by name, that programs and their tests may import, with what these require: `[numpy]`."""
    limits: LimitSettings = LimitSettings()

    def judge_of(self, verifier: str) -> str:
        """The name of what judges a task that names `verifier`."""
        return self.verifier or verifier
