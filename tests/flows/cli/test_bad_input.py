"""What a user gets wrong is one line that names what and where, exit code 2, and nothing is created."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows.cli import main
from flows.folder.open import inputs_of
from flows.runtime.server.prefect_server import check_api
from flows.runtime.worker import warm_up
from mopd.errors import InputError
from mopd.models.folders import resolve_model
from mopd.settings import load_settings
from storage.runs import RunFolder
from storage.stores.files import LOCKS
from storage.stores.local import LocalStore

ROOT = Path(__file__).parents[3]
TINY = ROOT / "examples" / "tiny.yaml"
GOOD = {"id": "a", "prompt": "What is 1 + 1?", "answer": "2", "verifier": "last_number"}


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.runtime.server.prefect_server.start_prefect_server", lambda: None)


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run with overrides and give the one line on stderr."""

    def run(*overrides: str, config: Path = TINY, folder: Path = tmp_path / "run") -> str:
        before = sorted(tmp_path.rglob("*"))
        arguments = ["run", str(config), "--run", str(folder)]
        assert main([*arguments, *(part for one in overrides for part in ("--set", one))]) == 2
        assert sorted(tmp_path.rglob("*")) == before
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("mopd: ")
        assert err.count("\n") == 1
        return err

    return run


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nonsense=1", "nonsense: no such setting"),
        ("train.nonsense=1", "train.nonsense: no such setting"),
        ("train.learning_rate=-1", "train.learning_rate: Input should be greater than 0"),
        ("train.learning_rate", "write it as key.subkey=value"),
        ("condition.variant=best", "condition.variant: 'best' is unknown; choose one of"),
        ("generate.num_samples=1", "leaves no peers"),
        ("model.path=/no/such/model", "/no/such/model is not a folder"),
        ("model.path=tiny:bert", "'tiny:bert' is unknown"),
        ("generate.num_prompts=17", "there are 16"),
        ("generate.max_tokens=1000000", "leaves no room in the model's window"),
        ("condition.max_context_tokens=1000000", "exceed the model's window"),
        ("evaluate.max_tokens=8190", "256 and evaluate.max_tokens: 8190 exceed the model's window"),
        ("evaluate.temperature=0.001", "evaluate.temperature: is neither 0, which is greedy, nor at least 0.01"),
        ("generate.temperature=0", "generate.temperature: Input should be greater than or equal to 0.01"),
        ("generate.top_p=0", "generate.top_p: Input should be greater than 0"),
        ("generate.stop=<|im_end|>", "generate.stop: '<|im_end|>' is a special token, which is no text; give"),
        ("generate.stop_token_ids=[99999]", "generate.stop_token_ids: 99999 is no token of the model"),
        ("generate.engine_arguments.seed=1", "engine_arguments: seed is not for you to set: every rollout has a seed"),
        ("generate.engine_arguments.block_size=1", "engine_arguments are for vllm and the engine is transformers"),
        ("train.teacher=best", "train.teacher: 'best' is unknown; choose one of ema, external"),
        (
            "train.teacher={kind: external, path: /nowhere}",
            "train.teacher.path: /nowhere is not a folder; give a folder",
        ),
        ("train.offload_optimizer=true", "train.offload_optimizer: keeps the optimizer's state in the host's memory"),
        ("generate.max_prompt_tokens=3", "more than generate.max_prompt_tokens (3)"),
        ("tasks.questions=[square_roots]", "'square_roots' is unknown"),
        ("tasks={kind: file, train: /no/such/file}", "/no/such/file: cannot be read"),
    ],
)
def test_settings(refused: Callable[..., str], override: str, message: str) -> None:
    assert message in refused(override)


def test_what_is_set_beside_a_file_is_not_blamed_on_the_file(refused: Callable[..., str]) -> None:
    assert refused("nonsense=1").startswith(f"mopd: {TINY} with --set: nonsense: no such setting")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([json.dumps(GOOD), "{broken"], "tasks.jsonl:2: not valid JSON"),
        ([json.dumps(GOOD), json.dumps({**GOOD, "id": "b"} | {"prompt": " "})], "tasks.jsonl:2: prompt: empty"),
        ([json.dumps(GOOD), json.dumps(GOOD)], "tasks.jsonl:2: id: 'a' is already on line 1"),
        ([json.dumps({"id": "a", "prompt": "x", "answer": "2"})], "tasks.jsonl:1: verifier: missing"),
        ([json.dumps({**GOOD, "verifier": "oracle"})], "verifier: 'oracle' is unknown"),
        ([json.dumps({**GOOD, "answer": "two"})], "tasks.jsonl:1: answer: 'two' is not one number"),
        ([json.dumps({**GOOD, "prompt": "long " * 2000})], "prompt a: "),
    ],
)
def test_task_files(refused: Callable[..., str], tmp_path: Path, lines: list[str], message: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text("\n".join(lines))
    assert message in refused(
        f"tasks={{kind: file, train: {path}}}", "generate.num_prompts=1", "train.updates_per_round=1"
    )


def test_a_config_that_is_not_there(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "nowhere.yaml: cannot be read" in refused(config=tmp_path / "nowhere.yaml")


def test_a_config_that_is_not_yaml(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("rounds: [1")
    assert "bad.yaml: not valid YAML" in refused(config=tmp_path / "bad.yaml")


def test_a_model_folder_without_weights(refused: Callable[..., str], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes((resolve_model("tiny:llama") / "config.json").read_bytes())
    assert "has no weights" in refused(f"model.path={folder}")


def test_a_folder_that_is_no_run(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    assert "is not empty and is not a run" in refused(folder=tmp_path / "full")


def test_a_run_folder_under_a_file(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'}: is a file; name a folder for the run" in refused(folder=tmp_path / "file" / "run")


def test_a_run_folder_that_is_a_file(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'}: is a file; name a folder for the run" in refused(folder=tmp_path / "file")


def test_a_run_folder_that_nothing_can_be_written_to(refused: Callable[..., str]) -> None:
    assert "/dev/null: " in refused(folder=Path("/dev/null/x"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_folder_without_permission(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "Permission denied" in refused(folder=tmp_path / "closed" / "run")


def test_the_run_folder_of_another_config(refused: Callable[..., str], tmp_path: Path) -> None:
    made = {"model_digest": "m", "tasks_digest": "t", "num_heldout": 4, "teacher_digest": None}
    RunFolder.create(tmp_path / "run", {"settings": load_settings(TINY).model_dump(mode="json"), **made})
    (tmp_path / "run" / ".lock").touch()
    assert "was made with other settings: seed is 0 there, 7 here: give the same settings" in refused("seed=7")


def test_a_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit on the size of files stands for the disk: run.json does not fit."""
    warm_up()
    inputs_of(load_settings(TINY))  # so that no process is started under the limit
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        code = main(["run", str(TINY), "--run", str(tmp_path / "run")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _, err = capsys.readouterr()
    assert (code, err.count("\n")) == (2, 1)
    assert "File too large" in err
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= set(LOCKS)
    assert LocalStore(tmp_path / "run").is_empty()  # the same command goes on when there is room


def test_a_prefect_server_that_does_not_answer(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", TINY, "--run", tmp_path / "run"],
        env={**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "http://127.0.0.1:9/api does not answer" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_prefect_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.runtime.server.prefect_server.PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match="does not answer"):
            check_api(f"http://127.0.0.1:{port}/api")
    with pytest.raises(InputError, match="does not answer"):
        check_api("not a url")


def test_commands_on_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["status"], ["digest"], ["sql"], ["export"], ["show"]):
        rest = {"sql": ["SELECT 1"], "export": ["--round", "0", "x"], "show": ["--round", "0", "--prompt", "x"]}
        assert main([*command, str(tmp_path), *rest.get(command[0], [])]) == 2
        assert "is not a run" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["status"], ["verify"], ["gc", "--yes"]])
def test_an_empty_name_is_not_the_current_folder(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command[0], "", *command[1:]]) == 2
    assert "is empty; name a folder" in capsys.readouterr().err


REFUSALS = {
    "no system role": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{{ messages[-1].content }}",
        [],
        "prompt a: the model's chat template refuses messages of system, user (System role not supported)",
    ),
    "roles alternate": (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{{ m.content }}{% endfor %}",
        [],
        "prompt a: the model's chat template refuses messages of system, user (Conversation roles must alternate)",
    ),
    "broken": (
        "{{ messages[0].content.nonsense.more }}",
        [],
        "the model's chat template refuses messages of",
    ),
    "one turn alone": (
        "{% if messages | length > 2 %}{{ raise_exception('One turn') }}{% endif %}{{ messages[-1].content }}",
        ["condition.rendering=turns"],
        "condition.rendering: turns: the model's chat template refuses messages of system, user, assistant, user, "
        "assistant, user (One turn); sections would do",
    ),
}


@pytest.mark.parametrize("name", list(REFUSALS))
def test_a_chat_template_that_refuses_the_messages(refused: Callable[..., str], tmp_path: Path, name: str) -> None:
    template, overrides, message = REFUSALS[name]
    model = tmp_path / "model"
    shutil.copytree(resolve_model("tiny:llama"), model)
    (model / "chat_template.jinja").write_text(template)
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 1 + 1?"}]
    rows = [{**GOOD, "id": name, "messages": [*asked[:1], {**asked[1], "content": f"{name}?"}]} for name in "abcdefgh"]
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("\n".join(json.dumps({key: row[key] for key in row if key != "prompt"}) for row in rows))
    config = yaml.safe_load(TINY.read_text())
    config["tasks"] = {"kind": "file", "train": str(tasks), "heldout": str(tasks), "overlap": "allow"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    said = refused(f"model.path={model}", "generate.engine=fake", *overrides, config=tmp_path / "config.yaml")
    assert message in said


def test_text_that_the_terminal_cannot_hold(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text(json.dumps({**GOOD, "prompt": "1 \u2192 \u03bb \u00e9?"}, ensure_ascii=False), encoding="utf-8")
    for variables in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        shown = own_mopd("tasks", "show", str(tasks), **variables)
        assert (shown.returncode, "\\u2192" in shown.stdout) == (0, True), shown.stderr


def test_sql_whatever_the_folder_for_temporary_files_and_the_locale(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"settings": {}}).path
    odd = tmp_path / "o'brien \u00e9"
    odd.mkdir()
    assert own_mopd("sql", str(run), "SELECT 1 AS one", TMPDIR=str(odd)).stdout.split()[-1] == "1"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    asked = own_mopd("sql", str(run), "SELECT '\u2192' AS arrow", **plain)
    assert (asked.returncode, asked.stdout.split()[-1]) == (0, "\\u2192"), asked.stderr


def own_mopd(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`mopd` as a process of its own, under other variables of the environment."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120)
