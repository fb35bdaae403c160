"""All commands of `mopd`, in the order in which they are listed."""

from __future__ import annotations

from collections.abc import Callable

from cyclopts import App, Parameter

from flows.cli import keep, look, measure, replay, run, tasks

EPILOGUE = "MOPD_TRACEBACK=1 in the environment shows the traceback of an error that is one line otherwise."


def _shown_default(value: object) -> str | None:
    """A default is shown where it says something."""
    return None if value is None or value is False or value in ("", ()) else str(value)


def _app(name: str, help: str, commands: tuple[Callable[..., int] | App, ...]) -> App:
    app = App(
        name=name,
        help=help,
        help_format="plaintext",
        help_epilogue=EPILOGUE,
        version_flags=(),
        default_parameter=Parameter(negative=(), allow_repeating=True, show_default=_shown_default),
    )
    for order, command in enumerate(commands):
        app.command(command)
        list(app.subapps)[-1].sort_key = order
    return app


ANALYZE = _app(
    "analyze", "See what a run's rollouts say: teacher signals, diversity.", (measure.signal, measure.diversity)
)
TASKS = _app("tasks", "Look at tasks, or bring them into files of our own format.", (tasks.import_, tasks.show))
mopd = _app(
    "mopd",
    "Multi-rollout on-policy distillation, with every stage on disk and one SQL query away.",
    (
        *(
            run.run,
            run.plan,
            measure.compare,
            replay.fork,
            replay.rerun,
            replay.condition,
            replay.score,
            replay.reverify,
        ),
        *(ANALYZE, measure.probe, measure.eval_),
        *(look.status, look.sql, look.show, look.report, look.view, look.trace, look.digest, look.export, look.track),
        *(keep.verify, keep.repair, keep.gc),
        *(TASKS, look.doctor),
    ),
)
