"""A run that is continued to more rounds is the run that had them at once; what was evaluated on the way stays seen."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from flows.cli import main
from flows.cli.demo import verdict
from flows.folder.open import open_run
from flows.folder.replay.fork import fork_run
from flows.measure.compare.arms import arms_of, jobs_of
from flows.measure.compare.results import read_results
from flows.plan.conditions import settings_of
from flows.plan.run import RunPlan
from flows.report.status.state import asked_evaluations, run_status, unasked_keys
from flows.report.status.text import rounds_text, status_text
from mopd.errors import InputError
from mopd.settings import load_settings, override_tree, parse_settings
from storage.digest import digest_tables
from storage.errors import StorageError
from storage.lookup import manifests
from storage.manifests import manifest_name
from storage.reading import read_rows
from storage.runs import RunFolder
from tests.flows.plan.test_plan import lose
from tests.flows.rounds_by_jobs import SMALL, TINY, inputs, make_run

ENDS, EACH, NEVER = (f"evaluate.when={when}" for when in ("first_and_last", "every_round", "never"))


@pytest.fixture(autouse=True)
def inputs_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda settings, *_: inputs(settings))


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of two rounds, and of three at once."""
    folder = tmp_path_factory.mktemp("runs")
    made = {"two": make_run(folder / "two", "rounds=2", ENDS), "three": make_run(folder / "three", ENDS)}
    return {name: run.path for name, run in made.items()}


@pytest.fixture
def two(ready: dict[str, Path], tmp_path: Path) -> Path:
    """A run of two rounds, whose first and last policy were evaluated."""
    return Path(shutil.copytree(ready["two"], tmp_path / "two"))


def continued(path: Path, *overrides: str) -> RunFolder:
    """The run gone on with under some other settings, as `mopd run` does."""
    folder = RunFolder.open(path)
    tree = override_tree(settings_of(folder).model_dump(mode="json"), list(overrides))
    open_run(parse_settings(tree), path, config="tiny")
    return make_run(path)


def digests(path: Path) -> dict[str, str]:
    folder = RunFolder.open(path)
    return digest_tables(folder, asked_evaluations(folder), unneeded=unasked_keys(folder))


def evaluated(folder: RunFolder) -> list[int]:
    """The policies whose results `mopd status` shows."""
    return [entry["policy"] for entry in run_status(folder)["evaluations"] if entry["mean_at_k"] is not None]


def test_two_rounds_and_then_three_are_three_at_once(two: Path, ready: dict[str, Path]) -> None:
    folder = continued(two, "rounds=3")
    assert digests(two) == digests(ready["three"])
    assert evaluated(folder) == [0, 2, 3]
    assert evaluated(RunFolder.open(ready["three"])) == [0, 3]
    status = run_status(folder)
    assert status["finished"]
    assert "policy 2  evaluate" in status_text(status, "finished")
    assert [line.split()[0] for line in rounds_text(status).splitlines()[-3:]] == ["0", "2", "3"]


def test_a_run_of_before_a_setting_goes_on_with_its_default(two: Path, ready: dict[str, Path]) -> None:
    """Its shards are found, and another value of the setting is refused as ever."""
    folder = RunFolder.open(two)
    for group, name in (("generate", "top_p"), ("evaluate", "max_tokens"), ("train", "mask_truncated")):
        del folder.document["settings"][group][name]
    folder.save(RunFolder.open(folder.store))
    made = sorted(path.name for path in (two / "rollouts").rglob("*.parquet"))
    open_run(settings_of(folder), two, config="tiny")
    assert RunFolder.open(two) == folder
    with pytest.raises(StorageError, match=r"generate\.top_p is 1\.0 there, 0\.9 here"):
        open_run(load_settings(TINY, [*SMALL, "rounds=2", ENDS, "generate.top_p=0.9"]), two, config="tiny")
    continued(two, "rounds=3")
    assert digests(two) == digests(ready["three"])
    assert set(made) < {path.name for path in (two / "rollouts").rglob("*.parquet")}


def test_a_rate_that_falls_over_the_rounds_there_are_is_not_drawn_out(tmp_path: Path) -> None:
    """A fork goes on at the rate that a longer run has then."""
    linear = ("train.schedule=linear", "train.warmup_steps=0", "train.learning_rate=1e-3", NEVER)
    run = make_run(tmp_path / "two", "rounds=2", *linear)
    with pytest.raises(
        InputError, match=r"train.schedule: linear.* its 2 rounds; .*mopd fork .*--round 2 --set rounds"
    ):
        continued(run.path, "rounds=4")
    fork = make_run(fork_run(run.path, 2, ["rounds=4"], tmp_path / "four").path)
    updates = [row for manifest in manifests(fork, "updates") for row in read_rows(fork, manifest)]
    rates = [row["learning_rate"] for row in sorted(updates, key=lambda row: row["step"])]
    assert rates == pytest.approx([1e-3, 5e-4, 5e-4, 2.5e-4])


def test_a_run_in_between_shows_what_was_evaluated_last(two: Path) -> None:
    before = run_status(RunFolder.open(two))
    settings = parse_settings(override_tree(settings_of(RunFolder.open(two)).model_dump(mode="json"), ["rounds=3"]))
    status = run_status(open_run(settings, two, config="tiny"))
    assert not status["finished"]
    assert [entry["policy"] for entry in status["evaluations"]] == [0, 2, 3]
    assert status["evaluations"][:2] == before["evaluations"]
    assert "after 2 rounds" in verdict(status)


def test_an_evaluation_that_was_cut_off_is_left_as_it_is(two: Path, ready: dict[str, Path]) -> None:
    folder = RunFolder.open(two)
    lose(folder, RunPlan.of(folder).evaluations[2].evaluations[1])
    folder = continued(two, "rounds=3")
    assert digests(two) == digests(ready["three"])
    assert evaluated(folder) == [0, 3]
    again = continued(two, EACH)  # asked for, it is made to its end
    assert evaluated(again) == [0, 1, 2, 3]


@pytest.mark.parametrize("when", [EACH, NEVER])
def test_when_to_evaluate_may_change_after_the_run(two: Path, tmp_path: Path, when: str) -> None:
    folder = continued(two, when)
    assert digests(two) == digests(make_run(tmp_path / "other", "rounds=2", when).path)
    assert evaluated(folder) == ([0, 1, 2] if when == EACH else [0, 2])
    back = continued(two, ENDS)
    assert evaluated(back) == ([0, 1, 2] if when == EACH else [0, 2])
    assert run_status(back)["finished"]


def test_fewer_rounds_are_refused(ready: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="has 3 rounds; rounds: 2 is less"):
        continued(ready["three"], "rounds=2")


@pytest.mark.parametrize("override", ["evaluate.num_samples=2", "tasks.num_heldout=2"])
def test_another_evaluation_is_another_run(two: Path, override: str) -> None:
    with pytest.raises(StorageError, match=override.partition("=")[0]):
        continued(two, override)


def test_a_fork_takes_all_evaluations_along_that_it_can(two: Path, tmp_path: Path) -> None:
    continued(two, "rounds=3")
    fork = fork_run(two, 2, ["train.objective=grpo"], tmp_path / "fork")
    assert evaluated(fork) == [0, 2]
    made = make_run(fork.path)
    assert evaluated(made) == [0, 2, 3]
    assert run_status(made)["finished"]
    asked = RunPlan.of(made).evaluations
    assert list(asked) == asked_evaluations(made) == [0, 3]


def test_a_fork_with_another_evaluation_leaves_behind_what_it_does_not_ask_for(two: Path, tmp_path: Path) -> None:
    continued(two, "rounds=3")
    fork = fork_run(two, 2, ["evaluate.num_samples=2"], tmp_path / "fork")
    assert evaluated(fork) == [0]
    assert evaluated(make_run(fork.path)) == [0, 3]


def test_a_choice_with_other_settings_is_noted(two: Path) -> None:
    """Another place has no `devices`; what has gone is null in the note."""
    notes = continued(two, "place=ray").document["changed"]
    changed = {note["setting"]: (note["from"], note["to"]) for note in notes}
    assert changed["place.kind"] == ("local", "ray")
    assert changed["place.devices"] == ("auto", None)


def test_a_comparison_shows_them_too(two: Path, tmp_path: Path) -> None:
    continued(two, "rounds=3")
    jobs = jobs_of(TINY, arms_of(["train.objective=mopd,grpo"]), 1, [*SMALL, ENDS])
    (tmp_path / "runs").mkdir()
    two.rename(tmp_path / "runs" / jobs[0].name)
    results = read_results(tmp_path, jobs, {})
    assert list(results.runs[0].outcomes) == [0, 2, 3]
    assert [point.policy for point in results.points] == [0, 2, 3]


def test_the_command_counts_what_is_asked_for(
    two: Path, ready: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = continued(two, "rounds=3")
    said = []
    for path in (two, ready["three"]):
        assert main(["digest", str(path)]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert digest_tables(folder) != digests(two)  # policy 2's is on disk, for SQL too


@pytest.mark.parametrize("table", ["evaluations", "prompts"])
@pytest.mark.parametrize("part", ["data", "manifest"])
def test_a_damaged_evaluation_that_is_not_asked_for_does_not_hide_the_digest(
    two: Path, ready: dict[str, Path], table: str, part: str
) -> None:
    folder = continued(two, "rounds=3")
    shard = getattr(RunPlan.of(folder).shown_evaluations(folder)[2], table)[0]
    manifest = shard.committed(folder)
    assert manifest is not None
    place = (table, shard.round, shard.shard, shard.key)
    os.truncate(folder.path / manifest.file if part == "data" else folder.path / manifest_name(folder, *place), 10)
    assert digests(two) == digests(ready["three"])
    assert 2 not in evaluated(folder) or table == "prompts"


def test_status_tells_once_what_is_damaged(two: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = RunFolder.open(two)
    manifest = RunPlan.of(folder).rounds[0].rollouts[0].committed(folder)
    assert manifest is not None
    os.truncate(folder.path / manifest.file, 10)
    run_status(folder)
    assert caplog.text.count("mopd run makes it again where it is needed") == 1
    make_run(two)
    os.truncate(folder.path / manifest.file, 10)
    run_status(folder)
    assert caplog.text.count("mopd run makes it again where it is needed") == 2
