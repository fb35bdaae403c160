"""Another verifier over stored rollouts: what flips, what follows, under which keys; and what is refused."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.folder.open import run_lock
from flows.folder.replay.fork import fork_run
from flows.folder.replay.rerun import plan_undo, redo
from flows.measure.reverify.plan import Reverification, begun_redo, open_reverification
from flows.measure.reverify.report import results_folder, reverify_report
from flows.measure.reverify.request import ReverifyRequest
from flows.measure.reverify.results import ReverifyResults, read_results
from flows.plan.run import RunPlan
from flows.report.report import read_reports
from flows.runtime.messages import silent
from mopd.errors import InputError
from mopd.settings import load_settings
from storage.digest import digest_tables
from storage.runs import RunFolder
from storage.shards import manifests, read_rows
from storage.sql.catalog import query
from tests.flows.rounds_by_jobs import SMALL, TINY, inputs, make_run, make_shards
from tests.object_servers import ENVIRONMENT, moto, new_bucket

EVEN = "tests.flows.measure.reverify.even_verifier:judge"
VERSION = "mopd 0.1.0"


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.measure.reverify.plan.in_own_process", lambda check, *args: check(None, silent, *args))
    monkeypatch.setattr("flows.folder.open.inputs_of", inputs)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds of two groups of four; the numbers that the fake engine says are even or not."""
    return make_run(tmp_path_factory.mktemp("made") / "run", "rounds=2").path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> RunFolder:
    """A copy of it."""
    return RunFolder.open(shutil.copytree(made, tmp_path / "run"))


def plan(run: RunFolder, **request: Any) -> Reverification:
    return open_reverification(run, ReverifyRequest(**request))


def reverify(run: RunFolder, **request: Any) -> ReverifyResults:
    """What the flow makes, made by the jobs alone."""
    opened = plan(run, **request)
    for part in opened.parts.values():
        for shards in (part.verdicts, part.contexts, part.rejudged):
            make_shards(run, shards)
    assert opened.missing(run) == []
    return read_results(run, opened)


def test_flips_and_what_follows_from_them_are_counted(run: RunFolder) -> None:
    results = reverify(run, verifier=EVEN)
    first, second = results.rounds
    # 97, 97, 97, 42 for 97 and 40, 40, 40, 96 for 96: another verdict on each but the last
    assert query(run, "SELECT text[-2:] FROM rollouts WHERE round = 0 ORDER BY prompt_id DESC, sample").rows == [
        (number,) for number in ("97", "97", "97", "42", "40", "40", "40", "96")
    ]
    counted = ("judged", "flipped", "to_success", "to_failure", "groups", "groups_changed", "advantages_changed")
    assert [first[name] for name in counted] == [8, 7, 4, 3, 2, 1, 8]
    assert (first["groups_mixed"], first["groups_all"]) == ([2, 1], [0, 1])
    assert first["contexts_changed"] == 8
    assert first["roles_changed"].keys() >= {"first_success", "failure"}
    unchanged = ("flipped", "groups_changed", "contexts_changed", "advantages_changed")
    assert {second[name] for name in unchanged} == {0}
    assert results.total["flipped"] == 7
    assert results.flips[0] == {
        "round": 0,
        "prompt_id": "larger-42-97",
        "sample": 0,
        "reward_before": 1.0,
        "reward_after": 0.0,
        "prediction_before": "97",
        "prediction_after": "97",
    }
    assert len(results.flips) == 5


def test_the_report_says_who_judged_and_what_changed(run: RunFolder) -> None:
    same = reverify(run, verifier="first_number")
    text = reverify_report(same, command="mopd reverify").terminal()
    assert text.startswith("first_number: 0 of 16 verdicts flipped\n")
    assert f"judged by last_number ({VERSION}), now by first_number ({VERSION})" in text
    with pytest.raises(InputError, match="--apply: first_number says the same of all 16 rollouts; leave it out"):
        same.check_applies()
    flipped = reverify_report(reverify(run, verifier=EVEN), command="mopd reverify").terminal()
    assert "the first 5 flips" in flipped
    assert "1 -> 0" in flipped


def test_the_report_lies_in_the_run(run: RunFolder) -> None:
    results = reverify(run, verifier=EVEN)
    folder = results_folder(run, results.name)
    assert folder == run.path / "analysis" / "reverify-even_verifier-judge"
    report = reverify_report(results, command="mopd reverify")
    report.write(folder)
    assert read_reports(folder) == [report.document()]


def test_advantages_are_those_that_scoring_gives(run: RunFolder) -> None:
    reverify(run, verifier=EVEN, round=0)
    (rejudged,) = manifests(run, "rejudged", 0, name=plan(run, verifier=EVEN).name)
    before = {(row["prompt_id"], row["sample"]): row["advantage_before"] for row in read_rows(run, rejudged)}
    (scores,) = manifests(run, "scores", 0)
    assert before == {
        (row["prompt_id"], row["sample"]): pytest.approx(row["advantage"]) for row in read_rows(run, scores)
    }


def test_flips_are_a_view_with_what_was_said(run: RunFolder) -> None:
    name = reverify(run, verifier=EVEN).name
    columns = "prompt_id, sample, reward_before, reward_after, success_after, judge_after, context_changed, text"
    (*_, last) = query(run, f"SELECT {columns} FROM flips WHERE condition = '{name}' ORDER BY prompt_id, sample").rows
    assert last == ("larger-42-97", 3, 0.0, 1.0, True, EVEN, True, "The answer is 42")
    assert query(run, "SELECT count(*), count(*) FILTER (round = 1) FROM flips").rows == [(7, 0)]


def test_the_run_stays_as_it_is(run: RunFolder) -> None:
    joined = "SELECT count(*), avg(v.reward) FROM scores JOIN verdicts AS v USING (run, round, prompt_id, sample)"
    episodes = "FROM episodes ORDER BY round, prompt_id, sample"
    before = (digest_tables(run), query(run, episodes).rows, query(run, joined).rows)
    reverify(run, verifier=EVEN)
    assert (digest_tables(run), query(run, episodes).rows, query(run, joined).rows) == before
    assert RunPlan.of(run).missing(run) == []


def test_a_second_call_finds_what_is_there_by_its_name(run: RunFolder) -> None:
    name = reverify(run, verifier=EVEN, round=1).name
    assert plan(run, verifier=EVEN, round=1).missing(run) == []
    wider = plan(run, verifier=EVEN)
    assert wider.name == name == "even_verifier-judge"
    assert {shard.round for shard in wider.missing(run)} == {0}


def test_verdicts_and_contexts_have_the_keys_of_a_fork(run: RunFolder, tmp_path: Path) -> None:
    opened = plan(run, verifier=EVEN)
    reverify(run, verifier=EVEN)
    for round, part in opened.parts.items():
        fork = fork_run(run.path, round, opened.overrides, tmp_path / f"fork{round}")
        theirs = RunPlan.of(fork).rounds[round]
        for table in ("verdicts", "contexts"):
            shards = getattr(theirs, table)
            assert [shard.key for shard in shards] == [shard.key for shard in getattr(part, table)]
            assert all(shard.find(fork) for shard in shards)
        assert query(fork, f"SELECT count(*) FROM contexts WHERE condition = '' AND round = {round}").rows == [(8,)]


def test_the_same_verifier_again_says_the_same(run: RunFolder) -> None:
    results = reverify(run, again=True)
    assert (results.name, results.total["flipped"], results.changes_nothing) == ("again", 0, True)
    assert plan(run, again=True, verifier="last_number").missing(run) == []


def test_another_version_judges_under_keys_of_its_own(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    reverify(run, verifier="first_number")
    monkeypatch.setattr("mopd.verifiers.versions.version", lambda package: "9.9")
    own = reverify(run)
    assert (own.name, own.overrides, own.total["flipped"]) == ("mopd-9.9", ["verify.version=mopd 9.9"], 0)
    assert f"judged by last_number ({VERSION}), now mopd 9.9" in reverify_report(own, command="").terminal()
    other = plan(run, verifier="first_number")
    assert other.overrides == ["verify.verifier=first_number", "verify.version=mopd 9.9"]
    assert len(other.missing(run)) == 6
    assert plan(run).missing(run) == []  # the version that is here has judged


def test_a_threshold_may_make_the_flips(run: RunFolder) -> None:
    results = reverify(run, overrides=("verify.success_threshold=0",))
    assert results.name == "success_threshold-0"
    assert (results.total["to_success"], results.total["rewards_changed"]) == (8, 0)
    assert results.total["groups_all"] == [0, 4]


def test_what_was_applied_and_interrupted_goes_on(run: RunFolder) -> None:
    asked = ReverifyRequest(verifier=EVEN, apply=True)
    assert begun_redo(run, asked) is None
    reverify(run, verifier=EVEN)
    name, round, overrides = plan(run, verifier=EVEN).redo
    redone = redo(run, round, "verify", overrides)
    assert (
        begun_redo(redone, asked) == (name, round, overrides) == ("even_verifier-judge", 0, [f"verify.verifier={EVEN}"])
    )
    others: list[dict[str, Any]] = [{"round": 1}, {"verifier": "first_number"}, {"apply": False}]
    others.append({"overrides": ("verify.success_threshold=0",)})
    assert [begun_redo(redone, replace(asked, **other)) for other in others] == [None] * 4


def test_what_was_applied_and_taken_back_is_there(run: RunFolder) -> None:
    """The scores that the run got by it meanwhile are superseded, and nobody asks for them here."""
    reverify(run, verifier=EVEN)
    redone = redo(run, 0, "verify", plan(run, verifier=EVEN).overrides)
    make_shards(redone, RunPlan.of(redone).rounds[0].scores)
    back = plan_undo(redone).save()
    assert plan(back, verifier=EVEN).missing(back) == []


def test_beside_a_run_that_goes_on_nothing_is_started(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.measure.reverify.command.launch", lambda *_, **__: pytest.fail("was started"))
    with run_lock(run):
        assert main(["reverify", run.address, "--verifier", EVEN]) == 2
    holder = f"process {os.getpid()} on {platform.node()}"
    line = f"mopd: {run.address}: is being run by {holder}; wait for it or stop it\n"
    assert capsys.readouterr().err == line


def test_rounds_without_contexts_are_judged_alone(tmp_path: Path) -> None:
    from flows.folder.open import run_document

    settings = load_settings(TINY, [*SMALL, "rounds=1"])
    folder = RunFolder.create(tmp_path / "run", run_document(settings, "tiny", inputs(settings)))
    part = RunPlan.of(folder).rounds[0]
    with pytest.raises(InputError, match=f"no round is judged yet; mopd run {folder.path} first"):
        plan(folder, verifier=EVEN)
    for shards in (part.prompts, part.rollouts, part.verdicts):
        make_shards(folder, shards)
    results = reverify(folder, verifier=EVEN)
    assert (results.total["flipped"], results.total["contexts_changed"]) == (7, None)


def test_of_selected_groups_those_that_the_run_needed_are_judged(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "rounds=1", "prompts_per_shard=1", "generate.groups=mixed")
    needed = RunPlan.of(folder).rounds[0].needed(folder)
    results = reverify(folder, verifier=EVEN)
    assert results.total["judged"] == 4 * len(needed.verdicts) == 8  # by itself the verifier would ask for more
    assert results.total["groups_mixed"] == [2, 1]
    assert results.total["contexts_changed"] == 8


def test_a_run_in_a_bucket_is_judged_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with moto() as endpoint:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint, "MOPD_CACHE": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        run = make_run(f"s3://{new_bucket(endpoint)}/run", "rounds=1")
        assert reverify(run, verifier=EVEN).total["flipped"] == 7
        assert query(run, "SELECT count(*), any_value(text[:3]) FROM flips").rows == [(7, "The")]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, r"would change nothing, it was judged by last_number \(mopd .*name another --verifier"),
        ({"verifier": "last_number"}, "would change nothing"),
        ({"verifier": "perfect"}, "verify.verifier: 'perfect' is unknown; choose one of "),
        ({"verifier": "absent:judge"}, "verify.verifier: 'absent:judge' can't be imported"),
        ({"verifier": "code"}, "verify.verifier: code can't judge prompt larger-.*: tests: missing; add it"),
        ({"verifier": "mcq"}, "mcq can't judge prompt larger-.*: answer: .* is not one capital letter"),
        ({"verifier": EVEN, "round": 2}, "--round 2: .* has rounds 0 to 1"),
        ({"verifier": EVEN, "again": True}, "--again: asks the same verifier under the same settings"),
        ({"again": True, "apply": True}, "--apply: a check by the same verifier has nothing to apply"),
        ({"overrides": ("train.learning_rate=1",)}, "--set train.learning_rate=1: decides no verdict"),
        ({"overrides": ("verify.mood=1",)}, "verify.mood"),
    ],
    ids=str,
)
def test_what_can_not_be_judged_is_one_line(made: Path, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        plan(RunFolder.open(made), **request_)
    assert "\n" not in str(caught.value)
