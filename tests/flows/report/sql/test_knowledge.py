"""Promises: SQL is told which settings rounds follow, which shards a run needs, and the words of its tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.plan.run import RunPlan
from flows.plan.stage import STAGES
from flows.report.sql.knowledge import KNOWLEDGE, planned_shards, settings_by_round, token_texts
from mopd.settings import load_settings
from storage.runs import RunFolder
from storage.sql.catalog import query

TINY = Path(__file__).resolve().parents[4] / "examples" / "tiny.yaml"
DIGESTS: dict[str, Any] = {"model_digest": "m", "tasks_digest": "t", "num_heldout": 4, "teacher_digest": None}


def planned_run(path: Path, *overrides: str, **document: Any) -> RunFolder:
    """A run that holds nothing yet."""
    settings = load_settings(TINY, list(overrides)).model_dump(mode="json")
    return RunFolder.create(path, {"settings": settings, **DIGESTS, **document})


def test_what_is_planned_is_what_the_plan_needs(tmp_path: Path) -> None:
    run = planned_run(tmp_path / "run")
    plan = RunPlan.of(run)
    rows = {(row["table_name"], row["round"], row["name"]): row["shards"] for row in planned_shards(run)}
    assert rows["rollouts", 0, ""] == len(plan.rounds[0].rollouts) == 2
    assert rows["prompts", 0, ""] == len(plan.rounds[0].prompts) + len(plan.evaluations[0].prompts)
    assert rows["scores", 1, "control"] == 1
    assert rows["policies", 1, ""] == 1 and rows["evaluations", 2, ""] == len(plan.evaluations[2].evaluations)
    asked = "SELECT stage, shards_done, shards_planned FROM stages WHERE round = 1 AND stage = 'train'"
    assert query(run, asked, knowledge=KNOWLEDGE).rows == [("train", 0, 1)]
    assert {row[0] for row in query(run, "SELECT stage FROM stages", knowledge=KNOWLEDGE).rows} <= {
        stage.name for stage in STAGES.values()
    }


def test_earlier_rounds_of_a_fork_follow_other_settings(tmp_path: Path) -> None:
    parent = planned_run(tmp_path / "parent", "train.objective=grpo")
    earlier = [{"below": 1, "settings": parent.document["settings"], **DIGESTS}]
    fork = planned_run(tmp_path / "fork", "rounds=3", lineage={"earlier": earlier})
    kinds = [(first, last, tree["train"]["objective"]["kind"]) for first, last, tree in settings_by_round(fork)]
    assert kinds == [(0, 0, "grpo"), (1, 2, "distill")]


def test_a_folder_that_no_run_planned_has_its_settings_and_no_plan(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"settings": {"seed": 1}})
    assert planned_shards(run) == [] and token_texts(run) == []
    asked = "SELECT name, value FROM settings"
    assert query(run, asked, knowledge=KNOWLEDGE).rows == [("seed", "1")]


def write_tokenizer(folder: Path) -> None:
    """A model folder, as far as words need one: three tokens, as SentencePiece writes them."""
    from tokenizers import Tokenizer, decoders, models

    tokenizer = Tokenizer(models.WordLevel({"▁the": 0, "re": 1, "<s>": 2}, unk_token="<s>"))
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors").write_bytes(b"")


def test_tokens_have_their_words_with_the_space_before_them(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    write_tokenizer(tmp_path / "model")
    assert token_texts(planned_run(tmp_path / "run", f"model.path={tmp_path / 'model'}")) == [" the", "re", "<s>"]


@pytest.mark.parametrize("model", ["gone", "org/name@" + "0" * 40])
def test_a_model_that_is_not_at_hand_has_no_words(tmp_path: Path, model: str) -> None:
    run = planned_run(tmp_path / "run", f"model.path={tmp_path / model if model == 'gone' else model}")
    assert token_texts(run) == []
