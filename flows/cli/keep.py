"""What keeps a run whole, and small: `mopd verify`, `repair` and `gc`; docs/keep.md."""

from __future__ import annotations

from flows.cli.options import Run, WholeNumber


def verify(run: Run, /, *, json: bool = False) -> int:
    """Check all that a run holds, and say what to make again.

    Args:
        run: the run's folder
        json: for programs
    """
    from flows.cli.actions.keep import verify_command

    return verify_command(run, json=json)


def repair(run: Run, /) -> int:
    """Set aside what is damaged, so that mopd run makes it again.

    Args:
        run: the run's folder
    """
    from flows.cli.actions.keep import repair_command

    return repair_command(run)


def gc(run: Run, /, *, keep_policies: WholeNumber | None = None, yes: bool = False) -> int:
    """Show what a run can do without; with --yes, remove it.

    Args:
        run: the run's folder
        keep_policies: so many of the newest keep their weights, and those that are needed (default: all)
        yes: remove what was shown
    """
    from flows.cli.actions.keep import gc_command

    return gc_command(run, keep_policies=keep_policies, yes=yes)
