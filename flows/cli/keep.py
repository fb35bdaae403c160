"""What keeps a run whole: `mopd verify` and `repair`; docs/keep.md."""

from __future__ import annotations

from flows.cli.options import Run


def verify(run: Run, /, *, json: bool = False) -> int:
    """Check all that a run holds, and say what to make again.

    Args:
        run: the run's folder
        json: for programs
    """
    from flows.cli.keep_text import verify_command

    return verify_command(run, json=json)


def repair(run: Run, /) -> int:
    """Set aside what is damaged, so that mopd run makes it again.

    Args:
        run: the run's folder
    """
    from flows.cli.keep_text import repair_command

    return repair_command(run)
