"""The model card of a policy: what it says, exactly; that what it says works; that no text of others breaks it."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from flows.folder.export import export_files, policy_files
from flows.folder.replay.fork import fork_run
from flows.plan.conditions import settings_of
from flows.report.card.files import card_files
from flows.report.card.license import License, card_license
from flows.report.card.source import CardSource
from flows.report.card.text import card_text
from mopd.models.folders import resolve_model
from mopd.settings import load_settings
from storage.runs import RunFolder
from tests.flows.report.card.test_markdown import render
from tests.flows.rounds_by_jobs import TINY, inputs, make_run, make_whole

EXPECTED = Path(__file__).parent / "tiny.txt"
"""The card of the tiny run's last policy; `{…}`: what differs from machine to machine."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The tiny run with the fake engine, finished."""
    return make_whole(tmp_path_factory.mktemp("runs") / "tiny", load_settings(TINY, ["generate.engine=fake"]))


def card(run: RunFolder, round: int = 1, *, name: str = "policy", license: License | None = None) -> str:
    return card_files(CardSource.of(run, round, name=name, license=license))["README.md"].decode()


def test_the_card_of_the_tiny_run(run: RunFolder) -> None:
    policy, document = CardSource.of(run, 1, name="policy", license=None).policy, run.document
    differing = {
        "key": policy.key,
        "sha256": policy.sha256,
        "weights": policy.files["model.safetensors"]["sha256"],
        "model": document["model_digest"],
        "tasks": document["tasks_digest"],
        "code": document["code_revision"],
        "versions": ", ".join(f"{name} {version}" for name, version in document["versions"].items()),
    }
    expected = EXPECTED.read_text()
    for name, value in differing.items():
        expected = expected.replace(f"<{name}>", value)
    assert card(run) == expected


def test_a_policy_that_was_not_evaluated_claims_nothing(run: RunFolder) -> None:
    read = ModelCard(card(run, 0, license=License("mit")))
    assert read.data.eval_results is None
    assert "This policy was not evaluated." in read.text
    assert read.data.license == "mit"
    assert read.data.license_name is None
    assert "## License\n\n`mit`.\n" in read.text


def test_all_settings_and_numbers_are_beside_it(run: RunFolder) -> None:
    source = CardSource.of(run, 1, name="policy", license=None)
    details = json.loads(card_files(source)["mopd.json"])
    assert details["settings"] == {**run.document["settings"], "place": source.settings.model_dump()["place"]}
    assert [entry["policy"] for entry in details["evaluations"]] == [0, 2]
    assert details["evaluations"][1]["mean_at_k"] == source.own_evaluation["mean_at_k"]  # type: ignore[index]
    assert (details["key"], details["sha256"]) == (source.policy.key, source.policy.sha256)


@pytest.mark.parametrize(
    ("changes", "method", "tag"),
    [
        ([], "by Multi-Rollout On-Policy Distillation ([arXiv 2605.12652]", "on-policy-distillation"),
        (["condition.variant=none"], "by on-policy distillation: replies are sampled", "on-policy-distillation"),
        (
            ["train.objective=grpo"],
            "by `grpo`: Group-relative policy gradient, its ratio clipped (arXiv 2402.03300).\n",
            "grpo",
        ),
    ],
)
def test_it_names_the_method(run: RunFolder, changes: list[str], method: str, tag: str) -> None:
    settings = load_settings(TINY, ["generate.engine=fake", *changes])
    source = replace(CardSource.of(run, 1, name="policy", license=None), settings=settings)
    read = ModelCard(card_files(source)["README.md"].decode())
    assert method in read.text
    assert ("Teacher:" in read.text) == (tag == "on-policy-distillation")
    assert read.data.tags == ["mopd", tag]


def blocks(text: str) -> list[str]:
    """Its blocks of Python."""
    return re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)


def program(run: RunFolder, marker: str, *changes: str) -> str:
    """The block of the card that holds `marker`, of the tiny run under other settings of sampling."""
    source = CardSource.of(run, 1, name="policy", license=None)
    settings = load_settings(TINY, ["generate.engine=fake", *changes])
    text = card_files(replace(source, settings=settings, evaluated_by=settings))["README.md"].decode()
    (block,) = (block for block in blocks(text) if marker in block)
    return block


def arguments(text: str, called: str) -> dict[str, Any]:
    """Keywords, with their literals, of the one call of that name in a program."""
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and _name(node) == called)
    return {
        str(keyword.arg): ast.literal_eval(keyword.value)
        for keyword in call.keywords
        if keyword.arg and not isinstance(keyword.value, ast.Name)
    }


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id  # type: ignore[attr-defined]


SHAPED = ("evaluate.top_k=5", "evaluate.min_p=0.1", "evaluate.repetition_penalty=1.2", "evaluate.presence_penalty=0.5")
STOPPED = ("evaluate.stop=['</answer>', \"it's\"]", "evaluate.stop_token_ids=[7, 9]")


@pytest.mark.parametrize(
    ("changes", "vllm", "transformers"),
    [
        ((), {}, {}),
        (
            SHAPED,
            {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "presence_penalty": 0.5},
            {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2},
        ),
        (
            STOPPED,
            {"stop": ["</answer>", "it's"], "stop_token_ids": [7, 9]},
            {"stop_strings": ["</answer>", "it's"]},
        ),
    ],
    ids=["plain", "shaped", "stopped"],
)
def test_its_code_samples_as_the_held_out_replies_were(
    run: RunFolder, changes: tuple[str, ...], vllm: dict[str, Any], transformers: dict[str, Any]
) -> None:
    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
    own = {**plain, "max_tokens": 16, **vllm}
    assert arguments(program(run, "vllm", *changes), "SamplingParams") == own
    own = {**plain, "min_p": 0.0, "repetition_penalty": 1.0, "do_sample": True, "max_new_tokens": 16, **transformers}
    assert arguments(program(run, "generate(", *changes), "generate") == own


def test_greedy_replies_keep_what_shapes_them(run: RunFolder) -> None:
    changes = ("evaluate.temperature=0", "evaluate.num_samples=1", "evaluate.repetition_penalty=1.2")
    vllm = arguments(program(run, "vllm", *changes), "SamplingParams")
    assert (vllm["temperature"], vllm["repetition_penalty"]) == (0.0, 1.2)
    own = {"do_sample": False, "repetition_penalty": 1.2, "max_new_tokens": 16}
    assert arguments(program(run, "generate(", *changes), "generate") == own


def test_what_transformers_has_not_is_said(run: RunFolder) -> None:
    source = CardSource.of(run, 1, name="policy", license=None)
    penalized = replace(source, evaluated_by=load_settings(TINY, ["evaluate.presence_penalty=0.5"]))
    assert "With transformers, which has no presence penalty:" in card_text(penalized)
    assert "presence penalty" not in card_text(source)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [(), SHAPED, STOPPED], ids=["plain", "shaped", "stopped"])
def test_vllm_takes_its_sampling(run: RunFolder, changes: tuple[str, ...]) -> None:
    """vLLM refuses what it does not know; the engine itself is started by nobody here."""
    from vllm import SamplingParams

    compile(program(run, "vllm", *changes), "README.md", "exec")
    sampling = arguments(program(run, "vllm", *changes), "SamplingParams")
    made = SamplingParams(**sampling)
    assert {name: getattr(made, name) for name in sampling} == sampling


def run_program(text: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_its_code_for_transformers_works(run: RunFolder, tmp_path: Path) -> None:
    files = {**policy_files(run, 1), **card_files(CardSource.of(run, 1, name="policy", license=None))}
    readme = (export_files(files, tmp_path / "policy") / "README.md").read_text()
    (text,) = (block for block in blocks(readme) if "generate(" in block)
    assert run_program(text, tmp_path)


@pytest.mark.slow
def test_its_code_for_transformers_ends_a_reply_where_ours_end(run: RunFolder, tmp_path: Path) -> None:
    export_files(policy_files(run, 1), tmp_path / "policy")
    greedy = ("evaluate.temperature=0", "evaluate.num_samples=1")

    def reply(*changes: str) -> list[int]:
        text = program(run, "generate(", *greedy, *changes) + "\nprint(reply.tolist())"
        ids: list[int] = json.loads(run_program(text, tmp_path).splitlines()[-1])
        return ids

    whole = reply()
    assert len(whole) == 16
    last = next(place for place, token in enumerate(whole) if place and token not in whole[:place])
    assert reply(f"evaluate.stop_token_ids=[{whole[last]}]") == whole[: last + 1]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model in a folder whose name, and whose card, mean harm."""
    folder = tmp_path / "secret" / "m | `x` <img src=x>\n---"
    shutil.copytree(resolve_model("tiny:llama"), folder)
    front = {"license": "other", "license_name": "a\n---\nb: |", "license_link": "https://example.org/LICENSE"}
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(front)}---\n# model\n")
    return folder


def test_text_of_others_is_text(base: Path, tmp_path: Path) -> None:
    prompt = "</details>\n---\n| a | `b` | <script>x</script> {{ x }}"
    changes = ["generate.engine=fake", "rounds=1", "evaluate.when=never", "model.chat_template_kwargs={}"]
    settings = load_settings(TINY, [*changes, f"model.path={json.dumps(str(base))}"])
    model = settings.model.model_copy(update={"system_prompt": prompt})
    room = {"generate": {"max_prompt_tokens": 512}, "condition": {"max_context_tokens": 1024}}
    parts = {name: getattr(settings, name).model_copy(update=changed) for name, changed in room.items()}
    run = make_whole(tmp_path / "run", settings.model_copy(update={"model": model, **parts}))
    text = card(run, 0, name="a`b\n---\n<b>")
    read = ModelCard(text)
    assert (read.data.license, read.data.license_name) == ("other", "a\\u000a---\\u000ab: |")
    assert read.data.license_link == "https://example.org/LICENSE"
    assert str(tmp_path) not in text
    assert "secret" not in text
    rendered = render(read.text)
    assert not re.findall(r"<(img|script|b|/details|hr)\b", rendered)
    assert len(re.findall("<tr>", rendered)) == 1 + len(re.findall(r"^\| `", read.text, re.MULTILINE))
    assert {len(re.findall("<t[dh]", row)) for row in rendered.split("<tr>")[1:]} == {3}


@pytest.mark.slow
def test_an_adapter_has_a_card_of_its_own(tmp_path: Path) -> None:
    changes = ["generate.engine=fake", "rounds=1", "evaluate.when=never", "train.lora={rank: 2, alpha: 4}"]
    run = make_whole(tmp_path / "run", load_settings(TINY, changes))
    files = card_files(CardSource.of(run, 0, name="acme/policy", license=License("mit")))
    assert [*files] == ["README.md", "mopd.json", "adapter/README.md"]
    whole, adapter = (ModelCard(files[name].decode()) for name in ("README.md", "adapter/README.md"))
    assert (whole.data.library_name, adapter.data.library_name) == ("transformers", "peft")
    assert whole.data.tags == adapter.data.tags == ["mopd", "on-policy-distillation", "lora"]
    assert 'Low-rank adapter: rank `2`, alpha `4`, dropout `0.0`, target_modules `"all-linear"`' in whole.text
    (program,) = blocks(adapter.text)
    exported = export_files({**policy_files(run, 0), **files}, tmp_path / "acme" / "policy")
    program = program.replace("path/to/the/base/model", str(resolve_model("tiny:llama")))
    compare = (
        "import torch\nmerged = AutoModelForCausalLM.from_pretrained('acme/policy')\nids = torch.arange(8)[None]\n"
        "with torch.no_grad():\n    print((model(ids).logits - merged(ids).logits).abs().max().item() < 1e-4)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{compare}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr
    assert (exported / "adapter" / "README.md").is_file()


@pytest.mark.slow
def test_an_adapter_on_a_policy_of_the_run_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = make_run(tmp_path / "parent", "rounds=1")
    monkeypatch.setattr("flows.folder.open.inputs_of", inputs)
    fork = fork_run(parent.path, 1, ["rounds=2", "train.lora={rank: 2}"], tmp_path / "fork")
    make_whole(fork.path, settings_of(fork))
    files = card_files(CardSource.of(RunFolder.open(fork.path), 1, name="acme/policy", license=None))
    adapter = ModelCard(files["adapter/README.md"].decode())
    assert adapter.data.base_model is None
    assert "Its base is policy 1 of the same run, which `mopd export` copies too." in adapter.text
    assert blocks(adapter.text) == []
    assert "- Rounds before 1 followed other settings than those of this card.\n" in files["README.md"].decode()


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Its second round has other tasks, and its policies 1 and 2 other samples, than the parent's round and policy."""
    folder = tmp_path_factory.mktemp("forks")
    changes = ["generate.engine=fake", "rounds=1", "evaluate.when=every_round", "evaluate.num_samples=2"]
    parent = make_whole(folder / "parent", load_settings(TINY, changes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.folder.open.inputs_of", inputs)
        forked = fork_run(parent.path, 1, ["rounds=2", "evaluate.num_samples=4", "tasks.num_train=20"], folder / "fork")
    return make_whole(forked.path, settings_of(forked))


def rows_of(text: str) -> list[str]:
    """First cells of the table of held-out numbers."""
    return re.findall(r"^\| (\d[^|]*) \|", text, re.MULTILINE)


def test_a_fork_s_numbers_are_of_one_kind(fork: RunFolder) -> None:
    text = card(fork, 1)
    assert rows_of(text) == ["1", "2, this model"]
    assert (
        "On held-out tasks, of which some may be among the other tasks that earlier rounds were trained on, with 95 % "
        "intervals over prompts, sampled with `temperature 1`, 16 tokens at most. Policies that were evaluated under "
        "other settings, or on other tasks, are left out.\n"
    ) in text
    assert "- Rounds: 2, those from 1 on, of 4 prompts with 4 rollouts each; 32 rollouts" in text
    assert "20 to train on, 4 held out" in text


def test_a_round_before_the_fork_says_what_it_was_trained_by(fork: RunFolder) -> None:
    text = card(fork, 0)
    assert "(`larger`), 4 held out.\n" in text, "run.json counts the tasks of the last rounds"
    assert "- Rounds: 1, of 4 prompts" in text


def test_what_a_probe_chose(run: RunFolder) -> None:
    source = CardSource.of(run, 1, name="policy", license=None)
    settings = load_settings(TINY, ["condition.variant=auto"])
    rounds = [{"choice": {"candidate": "success", "why": ""}}, {"choice": None}]
    probed = replace(source, settings=settings, status={**source.status, "rounds": rounds})
    assert "- What was chosen for the last round: `success`.\n" in card_text(probed)


@pytest.mark.parametrize(
    "text",
    ["", "no front matter", "---\n- a\n---\n", "---\na: [\n---\n", "---\nlicense: [a]\n---\n", "---\nx: 1\n---\n"],
)
def test_a_card_that_says_nothing_of_a_license(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text)
    assert card_license(tmp_path / "README.md") is None
    assert card_license(tmp_path / "absent.md") is None
