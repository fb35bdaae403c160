"""A run whose model is asked in other words: every table and the saved policy have them, and so do the keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.folder.policies import policy_folder
from flows.measure.eval.settings import eval_settings, kept_settings
from flows.plan.run import RunPlan
from flows.plan.stage import STAGES, key_tree
from flows.report.show import show_group, show_sample
from mopd.models.chat_template import load_chat_template
from mopd.settings import ModelSettings, Settings, load_settings, override_tree, parse_settings
from storage.runs import RunFolder
from storage.shards import manifests, read_rows
from tests.flows.rounds_by_jobs import TINY, make_whole

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}> {{ message.content }}\n{% endfor %}"
    "{% if loud is defined and loud %}LOUD {% endif %}{% if add_generation_prompt %}assistant> {% endif %}"
)
SYSTEM = "Answer in digits."
CHANGES = [
    *("generate.engine=fake", "rounds=1", "generate.num_prompts=2", "train.updates_per_round=1"),
    *(f"model.system_prompt={SYSTEM}", "model.chat_template_kwargs.loud=true"),
]


def settings_with(template: Path) -> Settings:
    template.write_text(TEMPLATE)
    return load_settings(TINY, [*CHANGES, f"model.chat_template={template}"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A whole run; the file of its template is gone."""
    folder = tmp_path_factory.mktemp("words")
    settings = settings_with(folder / "template.jinja")
    (folder / "template.jinja").unlink()
    return make_whole(folder / "run", settings)


def rows_of(run: RunFolder, table: str, round: int = 0) -> list[dict[str, Any]]:
    return [row for manifest in manifests(run, table, round) for row in read_rows(run, manifest)]


def test_students_and_teachers_are_asked_in_the_same_words(run: RunFolder) -> None:
    tokenizer = load_chat_template(policy_folder(run, 0), ModelSettings()).tokenizer
    asked = {tokenizer.decode(row["prompt_token_ids"]) for row in rows_of(run, "rollouts")}
    assert len(asked) == 2
    for text in asked:
        assert text.startswith(f"system> {SYSTEM}\nuser> Which")
        assert text.endswith("\nLOUD assistant> ")
    contexts = [row for row in rows_of(run, "contexts") if row["has_sections"]]
    assert contexts
    for row in contexts:
        text = tokenizer.decode(row["context_token_ids"])
        assert text.startswith(f"system> {SYSTEM}\nuser> Which") and text.endswith("\nLOUD assistant> ")
        assert row["messages"][0] == {"role": "system", "content": SYSTEM}


def test_a_trained_policy_has_the_words_with_it(run: RunFolder) -> None:
    folder = policy_folder(run, 1)
    assert (folder / "chat_template.jinja").is_file()
    question = [{"role": "user", "content": "Who?"}]
    saved = load_chat_template(folder, ModelSettings()).rendered(question)
    assert saved == f"system> {SYSTEM}\nuser> Who?\nLOUD assistant> "


def test_show_prints_the_system_prompt(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    prompt_id = rows_of(run, "rollouts")[0]["prompt_id"]
    show_group(run, 0, prompt_id)
    show_sample(run, 0, prompt_id, 0)
    assert capsys.readouterr().out.count(f"[system]\n{SYSTEM}\n") == 2


def test_a_run_goes_on_without_the_file_of_its_template(run: RunFolder, tmp_path: Path) -> None:
    again = settings_with(tmp_path / "elsewhere.jinja")
    assert run.differences(again.model_dump(mode="json")) == {}
    assert RunPlan.of(run).missing(run) == []


def test_evaluations_keep_the_words(tmp_path: Path) -> None:
    settings = settings_with(tmp_path / "template.jinja")
    kept = eval_settings(settings, [], 2).model
    assert kept.model_copy(update={"path": settings.model.path}) == settings.model
    assert kept_settings(settings)["model"]["chat_template"] == TEMPLATE
    assert eval_settings(settings, ["model.system_prompt=Be brief."], 2).model.system_prompt == "Be brief."


@pytest.mark.parametrize("table", ["rollouts", "contexts", "answers", "evaluations"])
def test_the_words_enter_the_keys_of_what_is_asked_in_them(table: str, tmp_path: Path) -> None:
    def part(settings: Settings) -> dict[str, Any]:
        return STAGES[table].settings(settings, key_tree(settings))

    own, other = load_settings(TINY, CHANGES[:4]), settings_with(tmp_path / "template.jinja")
    words = {"chat_template": TEMPLATE, "chat_template_kwargs": {"loud": True}, "system_prompt": SYSTEM}
    assert part(other) == part(own) | words
    assert not part(own).keys() & words.keys()


def test_a_reference_is_shown_to_the_teacher_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"prompt": f"Which is larger, {n} or 9?", "answer": "9", "verifier": "last_number", "id": str(n)}
        | ({"solution": f"9 is more than {n}."} if n else {})
        for n in range(2)
    ]
    (tmp_path / "tasks.jsonl").write_text("\n".join(map(json.dumps, lines)))
    tree = yaml.safe_load(TINY.read_text())
    tree["tasks"] = {"kind": "file", "train": str(tmp_path / "tasks.jsonl")}
    tree["train"]["objective"] = "opsd"
    run = make_whole(tmp_path / "run", parse_settings(override_tree(tree, CHANGES[:4])))
    assert not any("9 is more" in str(row["messages"]) for row in rows_of(run, "prompts"))
    shown = {row["prompt_id"]: row for row in rows_of(run, "contexts")}
    assert "A reference solution of this question:\n9 is more than 1." in shown["1"]["messages"][0]["content"]
    assert [peer["sample"] for peer in shown["1"]["peers"]] == [None]
    assert shown["0"]["no_section_reason"] == "the task has no solution"
    distilled = {row["prompt_id"] for row in rows_of(run, "scores") if row["distill"]}
    assert distilled == {"1"}
    complete = [row["sections_share"] for row in rows_of(run, "signals") if row["population"] == "all"]
    assert sorted(complete) == [0.0, 1.0]
    show_sample(run, 0, "1", 0)
    assert "(reference: reference)" in capsys.readouterr().out
