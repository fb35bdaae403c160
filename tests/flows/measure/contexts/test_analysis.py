"""Contexts beside each other share what is there, and what can't be compared is refused with nothing written."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.cli import demo, main
from flows.execute.session import Run
from flows.execute.work import Rows, read_shard
from flows.folder.replay.other_contexts import open_contexts
from flows.measure.contexts.analysis import Analysis, open_analysis
from flows.measure.contexts.commands import signal_command
from flows.measure.contexts.probe import probe_choices, read_probe
from flows.measure.contexts.probe_report import probe_report
from flows.measure.contexts.request import ContextsRequest
from flows.measure.contexts.signal import signal_results
from flows.measure.contexts.signal_report import signal_report
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from flows.report.table import estimate_in
from flows.runtime.console import Console
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from mopd.settings import load_settings
from mopd.settings.context_choice import choice_grid
from storage.runs import RunFolder
from storage.sql.catalog import query
from tests.flows.rounds_by_jobs import TINY, make_run, make_shards

VARIANTS = ("none", "positive", "contrastive", "random_peer")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A run of one round and two prompts with contrastive contexts, which has been asked for positive ones before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.folder.open.inputs_of", lambda *_: run_inputs)
        folder = make_run(tmp_path_factory.mktemp("analysis") / "a run", "rounds=1")
        run_inputs = {name: folder.document[name] for name in ("model_digest", "tasks_digest", "num_heldout")}
        run_inputs["teacher_digest"] = None
        best = open_contexts(folder, 0, "best", ["condition.variant=positive"], scores=False)
        make_shards(folder, best.made_by(scores=False))
        yield folder


def opened(run: RunFolder, *variants: str, answers: bool = False, **grid: Any) -> Analysis:
    choices = choice_grid(variants or VARIANTS, grid.get("renderings", ()), grid.get("orders", ()))
    return open_analysis(run, 0, choices, grid.get("overrides", []), answers=answers)


@pytest.fixture(scope="module")
def made(run: RunFolder) -> Analysis:
    """All contexts of the round, with signals and answers."""
    analysis = opened(run, answers=True)
    for table in ("contexts", "scores", "signals", "answers"):
        make_shards(run, [shard for part in analysis.parts.values() for shard in getattr(part, table)])
    return analysis


def test_what_training_and_others_made_is_used(run: RunFolder) -> None:
    analysis, own = opened(run), RunPlan.of(run).rounds[0]
    names = {name: part.scores[0].name for name, part in analysis.parts.items()}
    assert names == {"none": "none", "positive": "best", "contrastive": "", "random_peer": "random_peer"}
    assert analysis.parts["contrastive"].scores == own.scores
    assert analysis.parts["contrastive"].signals == own.signals
    assert analysis.parts["positive"].contexts[0].find(run) is not None


def test_nothing_is_written_before_the_work_begins(run: RunFolder) -> None:
    before = sorted(run.path.rglob("*"))
    opened(run, "failure", "success")
    assert sorted(run.path.rglob("*")) == before


def test_a_name_that_is_taken_by_other_settings_gets_a_number(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"success": ["condition.variant=failure"]}
    monkeypatch.setattr("flows.measure.contexts.analysis.named_conditions", lambda _: taken)
    assert opened(run, "success").parts["success"].name == "success-2"
    assert opened(run, "failure").parts["failure"].name == "success"


def test_renderings_and_orders_are_tried_where_they_make_a_difference(run: RunFolder) -> None:
    names = list(opened(run, "none", "success", "contrastive", renderings=["turns"], orders=["last", "first"]).parts)
    assert names == ["none", "success-turns", "contrastive-turns-last", "contrastive-turns-first"]


def test_a_context_by_two_names_is_made_once(run: RunFolder) -> None:
    analysis = opened(run, "contrastive", "contrastive/sections/last", "success", "success/sections")
    with Run.open(run, Console(), tried=list(analysis.parts.values())) as session:
        shown = session.shown("scores", 0, tried=True)
    assert [one.name for one in shown] == ["", "success"]


def test_all_that_was_made_is_there_and_is_found_again(run: RunFolder, made: Analysis) -> None:
    assert made.missing(run) == []
    again = opened(run, answers=True)
    assert again.names(run) == made.names(run)
    assert again.missing(run) == []
    names = query(run, "SELECT DISTINCT condition FROM signals WHERE condition <> 'control' ORDER BY 1").rows
    assert names == [("",), ("best",), ("none",), ("random_peer",)]
    assert RunPlan.of(run).missing(run) == []


def test_the_prompt_alone_is_answered_by_the_rollouts_themselves(run: RunFolder, made: Analysis) -> None:
    same = "SELECT count(*), sum((a.token_ids = r.token_ids)::int), sum((a.seed = r.seed)::int) FROM "
    joined = "{} AS a JOIN rollouts AS r USING (run, round, prompt_id, sample)"
    assert query(run, same + joined.format("(FROM answers WHERE condition = 'none')")).rows == [(8, 8, 8)]
    total, _, seeds = query(run, same + joined.format("(FROM answers WHERE condition = '')")).rows[0]
    assert (total, seeds) == (8, 8)


def test_results_are_a_page_a_table_and_a_plot(run: RunFolder, made: Analysis, tmp_path: Path) -> None:
    results = signal_results(run, made, "none")
    assert results.names == list(VARIANTS)
    report = signal_report(results, command="mopd analyze signal")
    report.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"signal.md", "signal.csv", "signal.json", "plot.png"}
    assert "minus none" in report.page()
    rows = list(csv.DictReader((tmp_path / "signal.csv").open()))
    assert {row["name"] for row in rows} == set(VARIANTS)
    assert {row["reference"] for row in rows} == {"none", ""}


def test_a_probe_reads_the_columns_that_it_needs(
    run: RunFolder, made: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[tuple[str, str]] = set()

    def noted(folder: RunFolder, shard: Shard, columns: Any = None) -> Rows:
        rows = read_shard(folder, shard, columns)
        read.update((shard.table, column) for row in rows for column in row)
        return rows

    monkeypatch.setattr("flows.measure.contexts.analysis.read_shard", noted)
    read_probe(run, 0, choice_grid(VARIANTS, (), ()))
    large = {"messages", "context_token_ids", "text", "feedback"}
    assert {column for _, column in read} & large == set()
    assert ("answers", "token_ids") in read  # whose lengths are told


def test_a_probe_says_what_each_context_is_worth(run: RunFolder, made: Analysis, tmp_path: Path) -> None:
    results = read_probe(run, 0, choice_grid(VARIANTS, (), ()))
    gaps = {row["context"]: estimate_in(row, "gap").value for row in results.rows}
    assert gaps["none"] == 0.0
    answers = query(run, "SELECT prompt_id, avg(success::int) FROM answers WHERE condition = 'best' GROUP BY 1").rows
    alone = dict(query(run, "SELECT prompt_id, avg(success::int) FROM verdicts GROUP BY 1").rows)
    assert gaps["positive"] == pytest.approx(sum(mean - alone[prompt] for prompt, mean in answers) / len(answers))
    report = probe_report(results, command="mopd probe")
    assert f"recommended: {results.best}" in report.terminal()
    assert report.write(tmp_path) == "probe.md, probe.csv, probe.json, plot.png"
    rows = {row["context"]: row for row in csv.DictReader((tmp_path / "probe.csv").open())}
    assert [name for name, row in rows.items() if row["recommended"] == "True"] == [results.best]
    assert float(rows["none"]["gap"]) == 0.0


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (
            ("summary",),
            "--variants summary: the rollouts of .* were not asked|are not asked for summaries; leave it out",
        ),
        (("best",), "'best' is unknown; choose one of contrastive"),
        (("none", "none"), "none stands there twice"),
        (("contrastive/left",), "'left' is none of sections, turns"),
    ],
)
def test_what_the_rollouts_lack_is_refused(run: RunFolder, variants: tuple[str, ...], message: str) -> None:
    before = sorted(run.path.rglob("*"))
    with pytest.raises(InputError, match=message):
        signal_command(run.path, ContextsRequest(0, variants), None)
    assert sorted(run.path.rglob("*")) == before


def test_excerpts_stand_in_for_summaries_when_that_is_asked_for(run: RunFolder) -> None:
    assert opened(run, "summary", overrides=["generate.ask_for_summary=never"]).parts["summary"].name == "summary"


def test_one_prompt_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: RunFolder) -> None:
    one = make_run(tmp_path / "one", "rounds=1", "generate.num_prompts=1")
    with pytest.raises(InputError, match="has one prompt in it, and intervals are over prompts"):
        opened(one, "none")
    settings = load_settings(TINY, ["generate.num_prompts=1", "train.updates_per_round=1"])
    with pytest.raises(InputError, match=r"generate.num_prompts: 1 is too few, .* set it to 2 or more"):
        probe_choices(settings, ContextsRequest(0))


def test_a_page_says_the_command_as_it_was_given() -> None:
    variants = ["none", "{kind: summary, num_summaries: 2}"]
    said = shell_command(
        "analyze signal", Path("runs/a b"), round=0, variants=variants, orders=(), set=["x=1"], out=None
    )
    words = ["mopd", "analyze", "signal", "runs/a b", "--round", "0", "--variants", ",".join(variants), "--set", "x=1"]
    assert shlex.split(said) == words


def test_a_recommendation_can_be_followed(run: RunFolder, made: Analysis) -> None:
    results = read_probe(run, 0, choice_grid(VARIANTS, (), ()))
    fork = shell_command("fork", run.path, round=0, set=[f"condition.variant={results.best}"])
    assert f"to train with it: {fork} NEW && mopd run NEW" in results.recommendation()
    removed = replace(results, round=1)  # no policy was trained in this run: its state is not there
    (run.path / "policies" / "round=0000" / "trainer").rename(run.path / "aside")
    try:
        said = removed.recommendation()
    finally:
        (run.path / "aside").rename(run.path / "policies" / "round=0000" / "trainer")
    assert "--round 0" in said and "the trainer state of round 1 was removed" in said


def test_the_demo_shows_commands_that_a_shell_takes(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main([str(run.path)]) == 0
    shown = [shlex.split(line) for line in capsys.readouterr().out.splitlines() if "/mopd " in line]
    assert [words[1] for words in shown] == ["sql"] * 3 + ["show", "report"]  # it has left no page
    assert {words[2] for words in shown} == {str(run.path)}


def test_names_of_what_runs_make_by_themselves_are_refused(run: RunFolder) -> None:
    with pytest.raises(InputError, match="is a name of what runs make by themselves"):
        open_contexts(run, 0, "control", ["condition.variant=none"], scores=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("analyze", "signal", "NO", "--round", "0"), "is not a run"),
        (("analyze", "signal", "RUN", "--round", "7"), "--round 7: "),
        (("analyze", "signal", "RUN", "--round", "0", "--reference", "x"), "--reference x: is none of the contexts"),
        (("analyze", "signal", "RUN", "--round", "0", "--set", "seed=1"), "would give other rollouts or verdicts"),
        (("probe", "RUN", "--run", "OTHER"), "is a run folder and is continued where it is"),
        (("probe", "RUN", "--round", "1"), "has rounds 0 to 0"),
        (("probe", str(TINY), "--run", "OTHER", "--round", "9"), "--round 9: the run has rounds 0 to 1"),
        (("analyze", "signal", "RUN", "--round", "0", "--out", "FILE"), "run.json: is a file; name a folder"),
        (("probe", "RUN", "--out", "FILE"), "run.json: is a file; name a folder"),
        (("analyze", "signal", "RUN", "--round", "0", "--orders", "middle"), "'middle' is none of last, first"),
    ],
)
def test_a_wrong_command_is_one_line(
    run: RunFolder, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    places = {
        "RUN": str(run.path),
        "FILE": str(run.path / "run.json"),
        "NO": str(run.path / "no"),
        "OTHER": str(run.path / "other"),
    }
    assert main([places.get(one, one) for one in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
    assert not (run.path / "other").exists()
