"""Arms and their names, what is refused, what is started again, and the tables, without any real run."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli import main
from flows.folder.open import run_lock
from flows.measure.compare.arms import Arm, Job, arms_of, fork_overrides, jobs_of
from flows.measure.compare.results import (
    METRICS,
    ComparisonResults,
    RunResult,
    comparison_report,
    method_text,
    result_table,
    seed_table,
)
from flows.measure.compare.runs import FINISHED, WAS_THERE, Runs, run_folder
from flows.report.report import Report
from mopd.errors import InputError
from mopd.measures.comparison import Outcome, compare_arms
from mopd.settings import Settings, load_settings, override_tree, parse_settings
from storage.runs import RunFolder
from storage.stores.local import LocalStore
from tests.e2e.harness import TINY

METHODS = ["train.objective=mopd,sdpo,grpo"]


@pytest.mark.parametrize(
    ("vary", "names"),
    [
        (METHODS, ["mopd", "sdpo", "grpo"]),
        (["train.learning_rate=1e-5, 2e-5"], ["learning_rate=1e-5", "learning_rate=2e-5"]),
        (["condition.exclude_self=true,false"], ["exclude_self=true", "exclude_self=false"]),
        (["train.teacher={kind: ema, rate: 0.1},live"], ["teacher=kind-ema-rate-0.1", "live"]),
        (
            ["train.objective=mopd,opd", "score.top_k=5,9"],
            ["mopd+top_k=5", "mopd+top_k=9", "opd+top_k=5", "opd+top_k=9"],
        ),
    ],
)
def test_arms_are_named_after_their_values(vary: list[str], names: list[str]) -> None:
    assert [arm.name for arm in arms_of(vary)] == names


def test_every_seed_has_every_arm_with_its_settings() -> None:
    jobs = jobs_of(TINY, arms_of(METHODS), 2, ["seed=5", "rounds=1"])
    assert [job.name for job in jobs] == [f"{arm}-seed{seed}" for seed in (5, 6) for arm in ("mopd", "sdpo", "grpo")]
    assert {(job.settings.rounds, job.settings.evaluate.when) for job in jobs} == {(1, "every_round")}
    assert [job.settings.seed for job in jobs] == [5, 5, 5, 6, 6, 6]
    assert [job.settings.condition.variant.kind for job in jobs[:2]] == ["contrastive", "success"]


def test_evaluation_is_as_it_is_set() -> None:
    (job, *_) = jobs_of(TINY, arms_of(METHODS), 1, ["evaluate.when=first_and_last"])
    assert job.settings.evaluate.when == "first_and_last"


def test_fork_overrides_turn_one_arm_into_the_other() -> None:
    vary = ["train.objective={alpha: 0.25},grpo", "train.learning_rate=1e-5,3e-4", "condition.variant=positive,summary"]
    jobs = jobs_of(TINY, arms_of(vary), 1, [])
    for job in jobs[1:]:
        tree = override_tree(jobs[0].settings.model_dump(mode="json"), fork_overrides(jobs[0].settings, job.settings))
        assert parse_settings(tree) == job.settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "train.objective=mopd"], "one value is no comparison; give two or more, separated by commas"),
        (["--vary", "train.objective"], "write it as KEY=A,B"),
        (["--vary", "train.objective=mopd,"], "one value is no comparison"),
        (["--vary", "train.objectif=mopd,grpo"], "train.objectif: no such setting"),
        (["--vary", "train.objective=mopd,grop"], "train.objective: "),
        (["--vary", "train.objective=mopd,mopd"], "two arms would be called mopd"),
        (["--vary", "train.objective=mopd,distill"], "mopd and distill come to the same results"),
        (["--vary", "train.max_tokens_per_pass=512,1024"], "come to the same results"),
        (["--vary", "seed=1,2"], "--vary seed: can't be varied, seeds are counted by --seeds"),
        (["--vary", "evaluate.num_samples=4,8"], "all arms have to be measured alike"),
        (["--vary", "rounds=1,2", "--vary", "rounds=3,4"], "--vary rounds: is given twice"),
        (["--vary", "rounds=1,2", "--set", "rounds=3"], "--set rounds=3: rounds is varied"),
        (["--vary", *METHODS, "--set", "condition.variant=none"], "mopd means condition.variant: contrastive"),
        (["--vary", *METHODS, "--set", "evaluate.when=never"], "evaluate.when: never leaves nothing to compare"),
        (["--vary", *METHODS, "--seeds", "0"], "--seeds and --jobs: give a number of at least 1"),
    ],
)
def test_nonsense_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(TINY), "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def compare_json(out: Path, **changed: object) -> None:
    out.mkdir(exist_ok=True)
    content = {"arms": {"mopd": [], "grpo": []}, "seeds": [0]} | changed
    (out / "compare.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"arms": {"grpo": [], "mopd": []}}, "its first arm is grpo, not mopd"),
        ({"arms": {"mopd": [], "sft": [], "dpo": []}}, "has arms sft, dpo too; keep them"),
        ({"seeds": [0, 1]}, "has seeds 1 too; keep them"),
    ],
)
def test_another_comparisons_folder_is_refused(
    changed: dict[str, object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare_json(tmp_path, **changed)
    assert main(["compare", str(TINY), "--vary", "train.objective=mopd,grpo", "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_a_run_with_other_settings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare_json(tmp_path)
    settings = load_settings(TINY, ["train.learning_rate=0.5", "evaluate.when=every_round"]).model_dump(mode="json")
    RunFolder.create(tmp_path / "runs" / "mopd-seed0", {"settings": settings})
    assert main(["compare", str(TINY), "--vary", "train.objective=mopd,grpo", "--out", str(tmp_path)]) == 2
    assert "train.learning_rate is 0.5 there, 0.001 here" in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").touch()
    assert main(["compare", str(TINY), "--vary", *METHODS, "--out", str(tmp_path)]) == 2
    assert "is not empty and was not made by mopd compare" in capsys.readouterr().err


def test_one_comparison_at_a_time_in_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare_json(tmp_path, arms={"mopd": []})
    with run_lock(RunFolder(LocalStore(tmp_path), {})):
        assert main(["compare", str(TINY), "--vary", *METHODS, "--out", str(tmp_path)]) == 2
    assert "is being run by process" in capsys.readouterr().err


class FakeLauncher:
    """Marks runs as done, and notes which run each was forked from; fails those it is told to."""

    def __init__(self, out: Path, failing: dict[str, str] | None = None, cut_off_after: int | None = None) -> None:
        self.out, self.failing, self.cut_off_after = out, failing or {}, cut_off_after
        self.launched: list[tuple[str, str | None]] = []
        self.stopped: list[int] = []

    def launch(self, job: Job, origin: Job | None) -> str:
        folder = run_folder(self.out, job)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").touch()
        if len(self.launched) == self.cut_off_after:
            raise KeyboardInterrupt
        self.launched.append((job.name, origin and origin.name))
        if job.name in self.failing:
            return self.failing[job.name]
        (folder / "done").touch()
        return ""

    def stop(self, number: int) -> None:
        self.stopped.append(number)


@pytest.fixture
def simple_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is done when it has a file `done`."""
    monkeypatch.setattr("flows.measure.compare.runs.is_finished", lambda folder, _: (folder / "done").exists())
    monkeypatch.setattr("flows.measure.compare.runs.has_rollouts", lambda folder: (folder / "done").exists())


def runs_in(out: Path, said: list[str] | None = None, workers: int = 1) -> Runs:
    runs = Runs(out, jobs_of(TINY, arms_of(METHODS), 2, []), [].append if said is None else said.append, workers)
    runs.note_finished()
    return runs


@pytest.mark.usefixtures("simple_runs")
def test_first_arms_run_first_and_the_others_are_their_forks(tmp_path: Path) -> None:
    said: list[str] = []
    launcher, runs = FakeLauncher(tmp_path), runs_in(tmp_path, said)
    runs.work(launcher, lambda: None)
    others = ["sdpo-seed0", "grpo-seed0", "sdpo-seed1", "grpo-seed1"]
    forks = [(name, f"mopd-{name[-5:]}") for name in others]
    assert launcher.launched == [("mopd-seed0", None), ("mopd-seed1", None), *forks]
    assert set(runs.states.values()) == {FINISHED}
    assert said[2].startswith("sdpo-seed0: finished in 0.0 s; 3 of 6 runs, about 0.0 s left")
    assert said[-1].endswith("6 of 6 runs")


@pytest.mark.usefixtures("simple_runs")
def test_what_was_cut_off_goes_on_and_what_is_done_is_left_alone(tmp_path: Path) -> None:
    cut_off = FakeLauncher(tmp_path, cut_off_after=3)
    with pytest.raises(KeyboardInterrupt):
        runs_in(tmp_path).work(cut_off, lambda: None)
    assert cut_off.stopped
    again, runs = FakeLauncher(tmp_path), runs_in(tmp_path)
    runs.work(again, lambda: None)
    forks = [("sdpo-seed1", "mopd-seed1"), ("grpo-seed1", "mopd-seed1")]
    assert again.launched == [("grpo-seed0", None), *forks]  # the fork that was there is continued
    assert list(runs.states.values()).count(WAS_THERE) == 3
    assert runs_in(tmp_path).note_finished() == 6


@pytest.mark.usefixtures("simple_runs")
def test_a_failed_arm_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    failing = {"mopd-seed0": "failed: no memory", "grpo-seed1": "failed: loss is nan"}
    launcher, runs = FakeLauncher(tmp_path, failing), runs_in(tmp_path, workers=2)
    runs.work(launcher, lambda: None)
    missing = "not started: mopd-seed0 has no rollouts of round 0 to share"
    assert runs.states == {
        **failing,
        "sdpo-seed0": missing,
        "grpo-seed0": missing,
        **dict.fromkeys(("mopd-seed1", "sdpo-seed1"), FINISHED),
    }


def results(states: dict[str, str] | None = None) -> ComparisonResults:
    """Two arms, two seeds, two prompts; grpo-seed1 has not been evaluated after its round."""
    arms = [Arm("mopd", ()), Arm("grpo", ())]
    found = {
        ("mopd", 0): {0: (0.0, 0.5), 1: (0.5, 1.0)},
        ("mopd", 1): {0: (0.25, 0.25), 1: (0.75, 0.75)},
        ("grpo", 0): {0: (0.0, 0.5), 1: (0.25, 0.75)},
        ("grpo", 1): {0: (0.25, 0.25)},
    }
    runs = [
        RunResult(
            Job(arm, seed, Settings()),
            (states or {}).get(f"{arm.name}-seed{seed}", FINISHED),
            {
                version: Outcome(
                    {
                        "mean": {f"{seed}-{i}": value for i, value in enumerate(values)},
                        "pass": {f"{seed}-0": 1.0},
                    },
                    num_null=0,
                )
                for version, values in found[arm.name, seed].items()
            },
            {"updates": 4.0, "seconds": 90.0},
        )
        for seed in (0, 1)
        for arm in arms
    ]
    by_arm = {arm.name: {run.job.seed: run.outcomes for run in runs if run.job.arm == arm} for arm in arms}
    return ComparisonResults(runs, compare_arms(by_arm, metrics=METRICS, num_samples=200, seed=0), k=8)


def report(found: ComparisonResults) -> Report:
    return comparison_report(found, command="mopd compare", about="about")


def test_the_table_has_means_over_seeds_and_paired_differences() -> None:
    table = result_table(results())
    titles = ("arm", "rounds", "seeds", "mean@8, %", "minus mopd", "pass@8, %", "minus mopd")
    assert tuple(column.title for column in table.shown_columns) == titles
    rows = table.shown()
    assert [(row["arm"], row["rounds"], row["seeds"]) for row in rows] == [
        ("mopd", 0, "2/2"),
        ("mopd", 1, "2/2"),
        ("grpo", 0, "2/2"),
        ("grpo", 1, "1/2"),
    ]
    assert str(rows[0]["mean"]).startswith("25.0 [")
    assert rows[0]["mean_difference"] is None
    assert rows[2]["mean_difference"] == "+0.0 [+0.0, +0.0]"
    assert rows[3]["mean"] == "50.0 [25.0, 75.0]"
    assert rows[3]["mean_difference"] == "-25.0 [-25.0, -25.0]"  # on seed 0 alone
    assert rows[3]["pass"] == "100.0"


def test_nothing_is_hidden() -> None:
    states = {"grpo-seed1": "failed: loss is nan"}
    found = results(states)
    assert "| grpo | 1 | 25.0 | - | failed: loss is nan |" in report(found).page()
    assert report(found).terminal().endswith("\n\ngrpo-seed1: failed: loss is nan")
    assert [run.job.name for run in found.unfinished] == ["grpo-seed1"]
    assert [row["state"] for row in seed_table(found).rows].count(FINISHED) == 3
    unevaluated = replace(found.runs[-1], outcomes={}, costs={})
    numbers = report(replace(found, runs=[*found.runs[:-1], unevaluated])).numbers.csv()
    rows = list(csv.DictReader(io.StringIO(numbers)))
    assert rows[-1]["arm"] == "grpo" and rows[-1]["mean"] == "" and rows[-1]["state"] == "failed: loss is nan"


def test_the_csv_has_a_row_for_every_seed_and_one_over_all() -> None:
    rows = list(csv.DictReader(io.StringIO(report(results()).numbers.csv())))
    assert len(rows) == 7 + 4
    assert rows[1]["arm"] == "mopd" and (rows[1]["seed"], rows[1]["rounds"], rows[1]["mean"]) == ("0", "1", "0.75")
    assert (rows[1]["run_updates"], rows[1]["run_seconds"]) == ("4.0", "90.0")
    last = rows[-1]
    assert (last["arm"], last["seed"], last["mean_difference"], last["num_seeds"]) == ("grpo", "all", "-0.25", "1")
    assert (last["mean_low"], last["mean_high"]) == ("0.25", "0.75")


def test_few_seeds_are_said_to_be_few() -> None:
    assert "over prompts alone" in method_text(1)
    assert "With 3 seeds alone" in method_text(3)
    assert "alone" not in method_text(5)


def test_the_plot_is_a_picture() -> None:
    (figure,) = report(results()).figures
    assert figure.png().startswith(b"\x89PNG")


def test_a_plot_of_nothing_is_drawn_too() -> None:
    nothing = report(ComparisonResults([replace(run, outcomes={}) for run in results().runs], [], 8))
    assert nothing.terminal().startswith("nothing was evaluated yet\n\n")
    assert nothing.figures[0].png()


def test_settings_of_arms_refuse_tasks_without_heldout(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("tasks: {kind: file, train: a.jsonl}")
    with pytest.raises(InputError, match=r"tasks\.heldout: is null"):
        jobs_of(tmp_path / "config.yaml", arms_of(METHODS), 1, [])
