"""Promises: every table is one SQL query away, a damaged shard is left out loudly, SQL can't change a run."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from storage.errors import StorageError, with_mending
from storage.runs import RunFolder
from storage.sql.catalog import connect, query
from storage.sql.described import describe_all
from storage.sql.script import write_catalog
from tests.storage.storage_samples import commit, fill, make_rows

EVERY = tuple(one.name for one in describe_all())
PLEASANT = (
    ["run", "round", "prompt_id", "sample", "policy_version", "prompt", "answer", "text", "reward", "success"]
    + ["feedback", "variant", "first_success", "second_success", "failure", "mean_teacher_logprob", "num_tokens"]
    + ["token_ids", "behavior_logprobs", "proximal_logprobs", "teacher_logprobs"]
)


@pytest.mark.parametrize("view", [name for name in EVERY if name != "settings"])
def test_an_empty_run_has_every_view_with_no_rows(run: RunFolder, view: str) -> None:
    result = query(run, f"SELECT * FROM {view}")
    assert (result.rows, result.excluded) == ([], [])


def test_every_column_is_described(run: RunFolder) -> None:
    described = {one.name: one for one in describe_all()}
    assert sorted(described) == [name for (name,) in query(run, "SHOW TABLES").rows]
    for name, one in described.items():
        assert query(run, f"FROM {name} LIMIT 0").columns == [*one.columns]
        assert one.about and all(one.columns.values())


def test_episodes_have_one_row_a_rollout_with_all_stages(run: RunFolder) -> None:
    fill(run, round=0)
    fill(run, round=1)
    result = query(run, f"SELECT {', '.join(PLEASANT)} FROM episodes ORDER BY round, prompt_id, sample")
    assert result.columns == PLEASANT
    assert len(result.rows) == 8
    first = dict(zip(PLEASANT, result.rows[0], strict=True))
    assert first["prompt"] == "What is 7 + 8?"
    assert (first["text"], first["reward"], first["feedback"], first["num_tokens"]) == ("15.", 1.0, "Right.", 3)
    assert first["teacher_logprobs"] == [-1.0, -0.5, 0.0]


def test_episodes_are_there_before_later_stages_are(run: RunFolder) -> None:
    commit(run, "rollouts", make_rows("rollouts", run.run_id))
    result = query(run, "SELECT text, reward, prompt, mean_teacher_logprob FROM episodes LIMIT 1")
    assert result.rows == [("15.", None, None, None)]


def test_round_is_the_column_not_the_folders_name(run: RunFolder) -> None:
    fill(run, round=7)
    write_catalog(run)
    assert query(run, "SELECT DISTINCT round, typeof(round) FROM scores").rows == [(7, "INTEGER")]


def test_a_truncated_shard_is_left_out_loudly(run: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    manifest = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("c",)), shard=1)
    os.truncate(run.path / manifest.file, manifest.bytes - 8)
    result = query(run, "SELECT count(*) FROM rollouts")
    assert result.rows == [(2,)]
    problem = f"{manifest.file} has {manifest.bytes - 8} bytes instead of {manifest.bytes}"
    assert result.excluded == [with_mending(run.address, problem)]
    assert manifest.file in caplog.text


def test_a_flipped_byte_is_left_out_loudly(run: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    manifest = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("c",)), shard=1)
    path = run.path / manifest.file
    content = bytearray(path.read_bytes())
    content[8] ^= 4
    path.write_bytes(content)
    result = query(run, "SELECT count(DISTINCT run || prompt_id) FROM rollouts")
    assert result.rows == [(1,)]
    assert result.excluded == [with_mending(run.address, f"{manifest.file} is damaged or missing")]
    assert "is damaged" in caplog.text


def test_a_shard_of_another_schema_is_left_out_loudly(run: RunFolder) -> None:
    commit(run, "updates", make_rows("updates", run.run_id))
    path = next((run.path / "updates" / "round=0000").glob("*.json"))
    path.write_text(path.read_text().replace('"loss": "double"', '"loss": "string"'))
    result = query(run, "SELECT * FROM updates")
    assert result.rows == []
    assert "another schema" in result.excluded[0]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT rewar FROM episodes", 'SQL: .*"rewar" not found'),
        ("SELEC 1", "SQL: Parser Error"),
        ("", "empty"),
        ("SELECT * FROM read_csv('/etc/passwd')", "SQL: Permission Error"),
        (" ; ", "empty"),
        ("SELECT 1; SELECT 2", "2 statements: give one"),
        ("CREATE TABLE mine AS SELECT 1", "CREATE is not a query: give a SELECT"),
        ("DROP VIEW episodes", "DROP is not a query"),
        ("BEGIN", "TRANSACTION is not a query"),
        ("INSERT INTO updates VALUES (1)", "INSERT is not a query"),
        ("SET enable_external_access = true", "SET is not a query"),
    ],
)
def test_bad_sql_is_one_line(run: RunFolder, sql: str, message: str) -> None:
    with pytest.raises(StorageError, match=message) as caught:
        query(run, sql)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        ("WITH one AS (SELECT 1) FROM one", 1),
        ("FROM (SELECT 2);", 2),
        ("SHOW TABLES", "answers"),
        ("DESCRIBE updates", "run"),
        ("SUMMARIZE SELECT 1 AS one", "one"),
        ("EXPLAIN SELECT 1", "physical_plan"),
        ("PIVOT (SELECT 1 AS a, 5 AS b) ON a USING sum(b)", 5),
    ],
)
def test_every_kind_of_reading_is_a_query(run: RunFolder, sql: str, first: object) -> None:
    assert query(run, sql).rows[0][0] == first


def test_settings_are_locked(run: RunFolder) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        connect(run).execute("SET enable_external_access = true")


def test_sql_cannot_write_files(run: RunFolder, tmp_path: Path) -> None:
    manifest = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    connection = connect(run)
    for target in (run.path / manifest.file, tmp_path / "out.parquet"):
        with pytest.raises(duckdb.PermissionException):
            connection.execute(f"COPY (SELECT 1) TO '{target}' (FORMAT parquet)")
    assert not (tmp_path / "out.parquet").exists()
    assert query(run, "SELECT count(*) FROM rollouts").rows == [(4,)]


def test_the_written_catalog_gives_the_same_answers(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(run)
    (run.path / "evaluations").rename(run.path / "moved")
    write_catalog(run)
    script = (run.path / "catalog.sql").read_text()
    monkeypatch.chdir(run.path)
    portable = duckdb.connect()
    portable.execute(script)
    ours = connect(run)
    for view in EVERY:
        for asked in (f"SELECT column_name, column_type FROM (DESCRIBE {view})", f"SELECT * FROM {view} ORDER BY ALL"):
            assert portable.execute(asked).fetchall() == ours.execute(asked).fetchall()


def test_evaluations_of_several_models_are_one_view(run: RunFolder) -> None:
    for name in ("base", "first@2"):
        commit(run, "evaluations", make_rows("evaluations", run.run_id), name=name)
    counted = "SELECT model, count(*), sum(success::int) FROM evaluations WHERE model <> '' GROUP BY model ORDER BY 1"
    assert query(run, counted).rows == [("base", 4, 4), ("first@2", 4, 4)]


def test_what_does_not_fit_into_memory_goes_to_a_folder_of_the_users_own(run: RunFolder) -> None:
    (found,) = query(run, "SELECT current_setting('temp_directory')").rows
    assert found[0].endswith(f"mopd-duckdb-{os.geteuid()}")


def test_verdicts_of_another_verifier_are_not_among_the_runs_own(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(run)
    other = [row | {"reward": 0.0, "success": False} for row in make_rows("verdicts", run.run_id)]
    commit(run, "verdicts", other, name="math")
    sql = "SELECT count(*), avg(v.reward) FROM scores AS s JOIN verdicts AS v USING (run, round, prompt_id, sample)"
    assert query(run, sql).rows == [(4, 1.0)]
    assert query(run, "SELECT count(*), avg(reward) FROM episodes").rows == [(4, 1.0)]
    write_catalog(run)
    monkeypatch.chdir(run.path)
    portable = duckdb.connect()
    portable.execute((run.path / "catalog.sql").read_text())
    assert portable.execute("SELECT count(*), avg(reward) FROM verdicts").fetchall() == [(4, 1.0)]
