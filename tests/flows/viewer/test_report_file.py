"""Promises of `mopd report`: what isn't in the file is said, and nothing is lost by writing it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.report.report import Report
from flows.report.table import Table
from flows.viewer.file import make_report, write_report
from flows.viewer.page.html import APP, SCRIPTS, page
from flows.viewer.page.libraries import libraries, notices
from mopd.errors import InputError
from mopd.settings import parse_settings
from storage.errors import with_mending
from storage.runs import RunFolder
from tests.flows.plan.test_plan import run_of
from tests.object_servers import ENVIRONMENT, moto, new_bucket
from tests.storage.storage_samples import commit, fill, make_rows


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create(tmp_path / "run", {"settings": parse_settings({}).model_dump(mode="json")})
    fill(folder)
    return folder


def test_a_file_and_its_size_are_said(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run"]) == 0
    said = capsys.readouterr()
    megabytes = Path("report.html").stat().st_size / 1e6
    assert said.out == f"report.html: {megabytes:.1f} MB\n" and said.err == ""


def test_code_is_at_most_two_megabytes() -> None:
    assert len(page().encode()) <= 2e6


def test_every_library_is_named_with_its_licence_in_full() -> None:
    texts = {notice["name"].split()[0]: notice["text"] for notice in notices()}
    assert len(texts) == sum(len(library.works) for library in libraries())
    for name, words in {
        "vega": "Redistribution and use",
        "DataTables": "Permission is hereby",
        "D3": "Permission to",
    }.items():
        assert texts[name].startswith("Copyright") and words in texts[name]


def test_only_a_report_is_replaced(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "notes.html"
    out.write_text("<p>notes")
    with pytest.raises(InputError, match="is there and is no report"):
        write_report([run], out)
    assert out.read_text() == "<p>notes"
    out.unlink()
    write_report([run], out)
    write_report([run], out)
    assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == ["notes.html"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nothing"], "mopd: nothing: is no run and holds none; name runs, a folder of runs, or a pattern in quotes"),
        (["run", "-o", "run"], "mopd: -o run: is a folder; name a file"),
        (["run", "-o", "no/x.html"], "mopd: -o no/x.html: there is no folder no; make it, or name another file"),
        (["run", "-o", "run/run.json"], "mopd: -o run/run.json: is there and is no report; name another file"),
        (["run", "--max-megabytes", "0"], "mopd: --max-megabytes 0: give a number above 0"),
        (["run", "--max-megabytes", "nan"], "mopd: --max-megabytes nan: give a number above 0"),
    ],
)
def test_bad_input_is_one_line(run: RunFolder, words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *words]) == 2
    assert capsys.readouterr().err == f"{line}\n"
    assert not Path("report.html").exists()


def test_what_does_not_fit_is_said(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run", "--max-megabytes", "0.0001"]) == 0
    assert "0 of 2 groups are in the file" in (line := capsys.readouterr().err)
    assert f"all: mopd view {run.address}, or a higher --max-megabytes" in line
    assert "all: mopd view run, or a higher --max-megabytes" in Path("report.html").read_text()
    assert "0 of 2 groups are in the file" in Path("report.html").read_text()


def test_damaged_shards_are_left_out_and_said_once(
    run: RunFolder, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """With what mends it; in the file, which may be sent on, by the run's name."""
    (shard,) = (run.path / "verdicts").rglob("*.parquet")
    size = shard.stat().st_size
    shard.write_bytes(b"damaged")
    assert main(["report", "run"]) == 1
    problem = f"{shard.relative_to(run.path)} has 7 bytes instead of {size}"
    assert capsys.readouterr().err == f"mopd: {with_mending(run.address, problem)}\n"
    assert caplog.text == ""
    assert data_of(Path("report.html").read_text())["directory"]["left_out"] == [with_mending("run", problem)]


def test_a_run_in_a_bucket_is_read_there(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with moto() as endpoint:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        far = RunFolder.create(f"s3://{new_bucket(endpoint)}/runs/far", {"settings": run.document["settings"]})
        fill(far)
        assert main(["report", far.address]) == 0
    html = Path("report.html").read_text()
    assert '"id":"far"' in html and '"far/0/a":' in html


def test_what_was_measured_is_told_from_runs(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    Report("Ratings", ["All is well."], [], Table([], [])).write(Path("measured"))
    assert main(["report", "run", "measured"]) == 0
    assert '"measures":1' in Path("report.html").read_text()
    assert main(["report", "measured"]) == 2
    assert capsys.readouterr().err == "mopd: measured: holds what was measured; name a run, too\n"


def test_runs_of_one_name_are_told_apart(run: RunFolder, tmp_path: Path) -> None:
    other = RunFolder.create(tmp_path / "more" / "run", {"settings": {}})
    html = make_report([run, other]).html.decode()
    assert [entry["id"] for entry in data_of(html)["directory"]["runs"]] == ["run", "more/run"]


def test_of_a_run_with_settings_of_another_version_and_a_damaged_analysis_the_rest_is_shown(tmp_path: Path) -> None:
    planned, _ = run_of(tmp_path / "planned")
    settings = {**planned.document["settings"], "of_tomorrow": 1}
    folder = RunFolder.create(tmp_path / "run", {**planned.document, "run_id": "run", "settings": settings})
    fill(folder)
    (folder.path / "analysis" / "signal").mkdir(parents=True)
    (folder.path / "analysis" / "signal" / "results.json").write_text('{"format": "mopd-measure 1"')
    report = make_report([folder])
    files = [f"{folder.path}/analysis/signal/results.json", f"{folder.path}/run.json"]
    assert sorted(line.split(":")[0] for line in report.damaged) == files
    data = data_of(report.html.decode())
    shown = sorted(line.split(":")[0] for line in data["directory"]["left_out"])
    assert shown == ["run/analysis/signal/results.json", "run/run.json"]
    assert [message["role"] for message in data["run/group/0/a"]["messages"]] == ["system", "user"]
    reading = data["run/rollout/0/a/0"]["readings"][0]
    assert reading["untrained"] == reading["score"]["loss"]["why_none"] == "the run's settings can't be read"
    assert data["run/overview"]["state"]["text"] == "its state can't be read"


def test_no_place_of_the_machine_is_in_the_file(tmp_path: Path) -> None:
    """Settings, commands, ancestors, measures and what is left out name none: a file is made to be sent."""
    parent, _ = run_of(tmp_path / "parent")
    document = {**parent.document, "run_id": "fork", "lineage": lineage_of(parent)}
    settings = {**document["settings"], "model": {"path": str(tmp_path / "models" / "mine")}}
    fork = RunFolder.create(tmp_path / "fork", {**document, "settings": settings})
    for table in ("prompts", "rollouts", "verdicts", "contexts", "scores"):
        commit(fork, table, make_rows(table, "fork"))
    next((fork.path / "verdicts").rglob("*.parquet")).write_bytes(b"damaged")
    Report("Ratings", ["All is well."], [], Table([], [])).write(fork.path / "analysis" / "ratings")
    report = make_report([fork], max_megabytes=10)
    data = data_of(report.html.decode())
    assert data["fork/overview"]["notes"] == ["forked from parent at round 1 with seed=1"]
    assert data["measures"]["reports"][0]["where"] == "fork/analysis/ratings"
    assert ["model.path", "mine"] in data["fork/overview"]["settings"]["all"]["rows"]
    assert [place for place, document in data.items() if str(tmp_path) in json.dumps(document)] == []
    assert str(tmp_path) not in report.html.decode()


def lineage_of(parent: RunFolder) -> dict[str, Any]:
    origin = {"path": parent.address, "run_id": parent.run_id, "relative": "../parent", "created": "2026"}
    return {**origin, "round": 1, "set": ["seed=1"], "earlier": [], "homes": {"parent": origin}}


def data_of(html: str) -> dict[str, Any]:
    """All that a file holds, by the names of its documents."""
    scripts = dict(re.findall(r'<script type="[^"]+" id="([^"]+)">(.*?)</script>', html, re.DOTALL))
    blocks = [script for name, script in scripts.items() if name.startswith("block-")]
    documents = [json.loads(gzip.decompress(base64.b64decode(block))) for block in blocks]
    return {"directory": json.loads(scripts["directory"]), **{key: one[key] for one in documents for key in one}}


def test_no_two_scripts_share_a_name() -> None:
    """All are one module, where a second declaration is an error."""
    named = re.compile(r"^(?:const|let|class|(?:async )?function\*?) (\w+)", re.MULTILINE)
    names = Counter(name for script in SCRIPTS for name in named.findall((APP / f"{script}.js").read_text()))
    assert [name for name, count in names.items() if count > 1] == []
