"""`mopd run`, and `mopd plan`: what it would take."""

from __future__ import annotations

from flows.cli.options import Device, Run, RunFolder, Sets


def run(
    config: Run,
    /,
    *,
    run_dir: RunFolder | None = None,
    overrides: Sets = (),
    verbose: bool = False,
    profile: bool = False,
) -> int:
    """Run a config, or continue a run where it was lost.

    Args:
        config: a YAML file of settings, e.g. examples/tiny.yaml, or a run's folder
        run_dir: the run's folder, or s3://bucket/prefix (default: a new one under runs/)
        overrides: e.g. train.learning_rate=1e-5; may be repeated
        verbose: show Prefect's log too
        profile: show at the end what took the time, and leave a timeline in the run: profile.json, for Perfetto
    """
    from flows.command import run_command

    return run_command(config, run_dir, list(overrides), verbose=verbose, profile=profile)


def plan(config: Run, /, *, overrides: Sets = (), device: Device | None = None) -> int:
    """What a run of a config takes, before anything is taken: memory of each stage by part, and bytes on disk.

    Exit code 1 where a stage does not fit.

    Args:
        config: a YAML file of settings, or a run's folder
        overrides: e.g. train.max_tokens_per_pass=2048; may be repeated
        device: in place of those that are here: a GPU, 80GB, eight, 8x80GB, or a machine, cpu:16GB
    """
    from flows.command import what_to_run
    from flows.report.memory import memory_report

    settings, _ = what_to_run(config, None, list(overrides))
    report, fits = memory_report(settings, device)
    print(report.terminal())
    return 0 if fits else 1
