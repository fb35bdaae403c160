"""`mopd analyze diversity` on small runs: numbers, pairing, files, and bad input in a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.measure.diversity.command import analyze
from flows.measure.diversity.report import tables
from flows.measure.diversity.results import HELD_OUT, SAMPLED, DiversityPoint, read_results
from mopd.errors import InputError
from storage.errors import StorageError
from storage.lineage import create_fork
from storage.lookup import manifests
from storage.runs import RunFolder
from storage.stores.address import open_store
from tests.storage.storage_samples import commit, make_rows

Groups = Mapping[str, list[tuple[str, bool | None]]]
"""By prompt, the replies and their success."""

SOME: Groups = {"a": [("5", True), ("5", True), ("7", False)], "b": [("x y", False), ("x z", None)]}
ALIKE: Groups = {"a": [("5", True)] * 3, "b": [("x y", False)] * 2}


def run_of(path: Path, settings: dict[str, Any] | None = None) -> RunFolder:
    return RunFolder.create(path, {"settings": {"evaluate": {"bootstrap_samples": 50}, **(settings or {})}})


def add(
    run: RunFolder,
    round: int,
    groups: Groups,
    *,
    table: str,
    verifier: str = "exact",
    tests: str | None = None,
    shard: int = 0,
) -> None:
    """Replies with verdicts in `rollouts`, or in `evaluations`, and their prompts."""
    prompts = make_rows("prompts", run.run_id, round=round, prompts=tuple(groups))
    place = {"round": round, "shard": shard}
    commit(run, "prompts", [{**row, "verifier": verifier, "tests": tests} for row in prompts], **place)
    for name in ("rollouts", "verdicts") if table == "rollouts" else ("evaluations",):
        (columns, *_) = make_rows(name, run.run_id, round=round)
        rows = [
            {**columns, "prompt_id": prompt, "sample": sample, "text": text, "success": success}
            for prompt, replies in groups.items()
            for sample, (text, success) in enumerate(replies)
        ]
        dropped = {"verdicts": {"text"}, "rollouts": {"success"}}.get(name, set())
        rows = [{key: value for key, value in row.items() if key not in dropped} for row in rows]
        commit(run, name, rows, **place)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Two rounds; policies 0 and 2 were evaluated."""
    run = run_of(tmp_path / "run")
    add(run, 0, SOME, table="rollouts")
    add(run, 1, ALIKE, table="rollouts")
    add(run, 0, SOME, table="evaluations", shard=1)
    add(run, 2, ALIKE, table="evaluations", shard=1)
    return run


def point_of(
    points: list[DiversityPoint], source: str, number: int, replies: str = "all", run: str = "run"
) -> DiversityPoint:
    (found,) = (
        point
        for point in points
        if (point.run, point.source, point.number, point.replies) == (run, source, number, replies)
    )
    return found


def test_rounds_and_policies_have_their_means(run: RunFolder) -> None:
    points = read_results([run.path]).points
    places = [(point.source, point.number, point.replies) for point in points]
    numbers = [(SAMPLED, 0), (SAMPLED, 1), (HELD_OUT, 0), (HELD_OUT, 2)]
    assert places == [(*one, replies) for one in numbers for replies in ("all", "successes")]
    unique = {place: point.means["unique_ratio"] for place, point in zip(places, points, strict=True)}
    assert unique[SAMPLED, 0, "all"].value == pytest.approx((2 / 3 + 1) / 2)
    assert unique[SAMPLED, 1, "all"].value == pytest.approx((1 / 3 + 1 / 2) / 2)
    successes = unique[SAMPLED, 0, "successes"]  # prompt b has none: not wrong, and not judged
    assert (successes.value, successes.interval, successes.num, successes.num_null) == (0.5, None, 1, 1)
    assert unique[HELD_OUT, 0, "all"] == unique[SAMPLED, 0, "all"]
    assert points[0].means["ast_jaccard_distance"].num_null == 2


def test_replies_without_a_verdict_yet_count_among_all(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    add(run, 0, SOME, table="rollouts")
    for manifest in manifests(run, "verdicts"):
        (run.path / manifest.file).unlink()
    points = read_results([run.path]).points
    assert [point.means["unique_ratio"].num for point in points] == [2, 0]


def test_policies_are_compared_with_the_runs_first_one_by_prompt(run: RunFolder) -> None:
    points = read_results([run.path]).points
    assert point_of(points, HELD_OUT, 0).minus_policy is None
    assert point_of(points, SAMPLED, 1).minus_policy is None
    later = point_of(points, HELD_OUT, 2)
    assert later.minus_run is None
    assert later.minus_policy is not None
    assert later.minus_policy["unique_ratio"].value == pytest.approx(-(1 / 3 + 1 / 2) / 2)
    successes = point_of(points, HELD_OUT, 2, "successes").minus_policy
    assert successes is not None
    assert (successes["unique_ratio"].num, successes["unique_ratio"].num_null) == (1, 1)


def test_runs_are_compared_with_the_first_where_prompts_are_the_same(run: RunFolder, tmp_path: Path) -> None:
    other = run_of(tmp_path / "other")
    add(other, 2, {"a": SOME["a"], "c": SOME["b"]}, table="evaluations")
    add(other, 5, SOME, table="evaluations")
    points = read_results([run.path, other.path]).points
    minus_run = point_of(points, HELD_OUT, 2, run="other").minus_run
    assert minus_run is not None
    unique = minus_run["unique_ratio"]
    assert (unique.num, unique.num_null) == (1, 0)  # prompt a
    assert unique.value == pytest.approx(2 / 3 - 1 / 3)
    assert point_of(points, HELD_OUT, 5, run="other").minus_run is None


def test_another_question_under_the_same_id_is_another_prompt(run: RunFolder, tmp_path: Path) -> None:
    other = run_of(tmp_path / "other")
    add(other, 2, ALIKE, table="evaluations")
    (manifest,) = manifests(other, "prompts")
    asked = [{"role": "user", "content": "What is 1 + 1?"}]
    rows = [{**row, "messages": asked} for row in make_rows("prompts", "other", round=2)]
    commit(other, "prompts", rows, round=2, key=manifest.key[::-1])
    minus_run = point_of(read_results([run.path, other.path]).points, HELD_OUT, 2, run="other").minus_run
    assert minus_run is not None
    assert minus_run["unique_ratio"].num == minus_run["unique_ratio"].num_null == 0


def test_programs_of_code_tasks_are_compared(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    replies = [(f"```python\n{program}\n```", True) for program in ("1", "1 + 1")]
    add(run, 0, {"a": [*replies, ("I can't.", False)]}, table="rollouts", verifier="code")
    found = read_results([run.path])
    assert point_of(found.points, SAMPLED, 0).means["ast_jaccard_distance"].value is None
    assert point_of(found.points, SAMPLED, 0, "successes").means["ast_jaccard_distance"].value == pytest.approx(0.5)
    (table,) = tables(found)
    assert [row["ast_jaccard_distance"] for row in table.shown()] == [None, "0.500"]


def test_a_fork_has_what_it_took_over(run: RunFolder, tmp_path: Path) -> None:
    taken = [one for table in ("prompts", "rollouts", "verdicts") for one in manifests(run, table)]
    settings = {"settings": run.document["settings"]}
    fork = create_fork(run, open_store(tmp_path / "fork"), settings, {}, [one for one in taken if not one.round])
    points = read_results([fork.path, run.path]).points
    assert point_of(points, SAMPLED, 0, run="fork").means == point_of(points, SAMPLED, 0).means


def test_tables_say_where_prompts_are_missing(run: RunFolder) -> None:
    found = {table.title: table for table in tables(read_results([run.path]))}
    assert list(found) == ["what training sampled", "held-out", "held-out, minus the run's first policy"]
    sampled = found["what training sampled"]
    first, successes, *_ = sampled.shown()
    assert (first["number"], first["replies"], first["prompts"], "run" in first) == (0, "all", 2, False)
    assert str(first["unique_ratio"]).startswith("0.833 [0.667, ")
    assert successes["unique_ratio"] == "0.500 n=1"
    assert successes["prompts"] == 2
    titles = [column.title for column in sampled.shown_columns]
    assert titles[:4] == ["round", "replies", "prompts", "distinct-1"] and "AST distance" not in titles
    later = found["held-out, minus the run's first policy"].shown()[0]
    assert str(later["unique_ratio"]).startswith("-0.417 [-0.500, -0.333]")


def mopd_analyze(*arguments: str | Path) -> int:
    return main(["analyze", "diversity", *map(str, arguments)])


def test_the_command_writes_page_table_and_plot(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert mopd_analyze(run.path) == 0
    out = run.path / "analysis" / "diversity"
    assert capsys.readouterr().out.endswith("diversity.md, diversity.csv, diversity.json, diversity.png\n")
    page = (out / "diversity.md").read_text()
    assert f"    mopd analyze diversity {run.path}\n" in page
    assert "| 0 | successes | 2 | 0.500 n=1 |" in page
    assert (out / "diversity.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((out / "diversity.csv").open()))
    assert len(rows) == 4 * 2 * 6
    keys = ("source", "round", "policy", "replies", "metric")
    assert [rows[-3][name] for name in keys] == ["held-out", "", "2", "successes", "unique_ratio"]
    assert (rows[-3]["mean"], rows[-3]["num_prompts"], rows[-3]["num_null"]) == ("0.3333333333333333", "1", "1")
    assert float(rows[-3]["minus_policy_mean"]) == pytest.approx(1 / 3 - 1 / 2)
    assert rows[-1]["mean"] == rows[-1]["minus_run_mean"] == ""


def test_several_runs_of_one_name_go_by_their_paths(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(run_of(tmp_path / "again" / "run"), 0, SOME, table="rollouts")
    monkeypatch.chdir(tmp_path)
    assert mopd_analyze("run", "again/run") == 0
    assert (tmp_path / "runs" / "diversity" / "diversity.md").exists()
    assert "again/run      0  all" in capsys.readouterr().out


def test_only_replies_without_any_number_are_drawn_too(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    add(run, 0, {"a": [("", None)]}, table="evaluations")
    assert [point.means["distinct_1"].num_null for point in read_results([run.path]).points] == [1, 1]
    _, out = analyze([run.path], tmp_path / "out")
    assert (out / "diversity.png").stat().st_size > 0


def test_a_mean_outside_its_interval_is_drawn(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", {"seed": 1, "evaluate": {"bootstrap_samples": 1}})
    add(run, 0, {**SOME, "c": [("5", True)] * 5}, table="rollouts")
    unique = read_results([run.path]).points[0].means["unique_ratio"]
    assert unique.value is not None and unique.interval is not None
    assert not unique.interval[0] <= unique.value <= unique.interval[1]
    _, out = analyze([run.path], tmp_path / "out")
    assert (out / "diversity.png").stat().st_size > 0


def test_the_flow_publishes_the_tables(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import flows.measure.diversity.flow as module

    published: list[dict[str, str]] = []
    monkeypatch.setattr("prefect.artifacts.create_markdown_artifact", lambda **artifact: published.append(artifact))
    assert module.analyze_diversity.name == "mopd-diversity"
    assert module.analyze_diversity.fn([str(run.path)], str(tmp_path / "out")) == str(tmp_path / "out")
    (artifact,) = published
    assert artifact["key"] == "mopd-diversity"
    assert "| 0 | successes | 2 | 0.500 n=1 |" in artifact["markdown"] and ".png" not in artifact["markdown"]
    with pytest.raises(InputError, match="runs: is empty"):
        module.analyze_diversity.fn([])


def test_bad_input_is_refused_before_anything_is_written(run: RunFolder, tmp_path: Path) -> None:
    empty, file = run_of(tmp_path / "empty"), tmp_path / "file"
    file.touch()
    out = tmp_path / "out"
    with pytest.raises(StorageError, match=r"is not a run: it has no run\.json"):
        analyze([tmp_path], out)
    with pytest.raises(InputError, match="has no rollouts and no evaluations yet; mopd run"):
        analyze([run.path, empty.path], out)
    with pytest.raises(InputError, match="is named twice; name each run once"):
        analyze([run.path, run.path / ".." / "run"], out)
    with pytest.raises(InputError, match=r"--out .*: is a file; name a folder"):
        analyze([run.path], file)
    assert not out.exists()
    for manifest in manifests(run, "prompts", 0):
        (run.path / manifest.file).unlink()
    with pytest.raises(InputError, match="prompt a: round 0 has no row of it in prompts"):
        analyze([run.path], None)
    assert not (run.path / "analysis").exists()


def test_of_a_reply_with_several_blocks_the_judged_program_is_measured(tmp_path: Path) -> None:
    tests = json.dumps({"testtype": "functional", "fn_name": "add", "inputs": ["1\n2"], "outputs": ["3"]})
    program = "```python\ndef add(a, b):\n    return a + b\n```"
    use = "```python\nfor n in range(3):\n    print(add(n, n))\n```"
    run = run_of(tmp_path / "run")
    groups: Groups = {"a": [(f"{program}\n{use}", True), (program, True)]}
    add(run, 0, groups, table="evaluations", verifier="code", tests=tests)
    assert point_of(read_results([run.path]).points, HELD_OUT, 0).means["ast_jaccard_distance"].value == 0.0
