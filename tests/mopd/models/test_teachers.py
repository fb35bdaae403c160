"""Teachers: what each is made of, what each says, and what of it outlives a round."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from mopd.errors import InputError
from mopd.models.folders import load_model, model_digest, resolve_model
from mopd.models.lora import trained_parameters
from mopd.models.teachers import Source, check_teacher, load_teacher, teacher_sources, teacher_version
from mopd.reading.forward import branches as branches_of
from mopd.reading.forward import hidden_states, make_batch, plan_batches
from mopd.reading.head import num_ids, vocabulary_logps
from mopd.settings import parse_settings
from mopd.settings.teacher import EmaTeacher, TeacherSettings
from mopd.trainer.ema import ModelTeacher
from mopd.trainer.state import open_state, update_teacher
from tests.mopd.scoring_samples import CONTEXT, RESPONSES, TEMPERATURE, scorer_of, shard

KINDS = ["ema", {"kind": "trust_region", "weight": 0.3}, "live", "frozen", "external"]
VERSION = 3


def teacher_of(given: Any) -> TeacherSettings:
    return parse_settings({"train": {"teacher": given}}).train.teacher


def save_with(folder: Path, out: Path, model: Any) -> Path:
    """The model with the other folder's tokenizer."""
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    model.save_pretrained(out)
    return out


def moved(folder: Path, out: Path, seed: int) -> Path:
    """The model of a folder under other weights."""
    model, stream = load_model(folder, "cpu"), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=stream) * 0.05)
    return save_with(folder, out, model)


def larger(folder: Path, out: Path, *, vocab_size: int) -> Path:
    """A wider random Llama with the tokenizer of a folder."""
    config = LlamaConfig.from_pretrained(folder)
    config.hidden_size, config.intermediate_size, config.vocab_size = 96, 160, vocab_size
    torch.manual_seed(5)
    return save_with(folder, out, LlamaForCausalLM(config))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The initial policy, the one after training, its trainer state, and a larger model whose head is padded."""
    initial, path = resolve_model("tiny:llama"), tmp_path_factory.mktemp("models")
    moved(initial, path / "state" / "teacher", seed=2)
    return {
        "reference": initial,
        "policy": moved(initial, path / "policy", seed=1),
        "state": path / "state",
        "external": larger(initial, path / "external", vocab_size=num_ids(load_model(initial, "cpu")) + 5),
    }


def with_path(given: Any, folders: dict[str, Path]) -> Any:
    return {"kind": "external", "path": str(folders["external"])} if given == "external" else given


def logits_of(folder: Path, prefix: list[int], response: list[int]) -> torch.Tensor:
    """By plain transformers."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([prefix + response])).logits[0, len(prefix) - 1 : -1]
    return logits


def expected_logps(kind: str, folders: dict[str, Path], response: list[int]) -> torch.Tensor:
    """The teacher's distribution at each position of a response, taken straight from its definition."""
    size = num_ids(load_model(folders["reference"], "cpu"))
    of = {name: logits_of(folder, CONTEXT, response)[:, :size] for name, folder in plain(folders).items()}
    logits = {
        "ema": of["teacher"],
        "live": of["policy"],
        "frozen": of["reference"],
        "external": of["external"],
        "trust_region": 0.7 * of["reference"] + 0.3 * of["policy"],
    }[kind]
    return torch.log_softmax(logits / TEMPERATURE, dim=-1)


def plain(folders: dict[str, Path]) -> dict[str, Path]:
    return {
        **{name: folders[name] for name in ("reference", "policy", "external")},
        "teacher": folders["state"] / "teacher",
    }


@pytest.mark.parametrize("given", KINDS, ids=lambda given: given if isinstance(given, str) else given["kind"])
def test_each_teacher_says_what_its_definition_says(folders: dict[str, Path], given: Any) -> None:
    given = with_path(given, folders)
    kind = teacher_of(given).kind
    scorer = scorer_of(
        {"train": {"teacher": given}, "score": {"precision": "float32"}},
        policy_folder=folders["policy"],
        state_folder=folders["state"] if kind == "ema" else None,
        reference_folder=folders["reference"],
    )
    rows = scorer.score(*shard(), policy_version=VERSION)
    for row, response in zip(rows[:2], RESPONSES[:2], strict=True):
        expected = expected_logps(kind, folders, response)
        sampled = expected.gather(1, torch.tensor(response)[:, None]).squeeze(1)
        np.testing.assert_allclose(row["teacher_logprobs"], sampled, atol=1e-5)
        ids = torch.from_numpy(row["support_ids"]).long()
        np.testing.assert_allclose(row["support_teacher_logprobs"], expected.gather(1, ids), atol=1e-5)
    assert rows[0]["teacher"] == kind
    assert rows[0]["teacher_version"] == (0 if kind in ("frozen", "external") else VERSION)


def test_at_first_every_teacher_but_an_external_one_is_the_initial_policy(folders: dict[str, Path]) -> None:
    for given in KINDS[:-1]:
        sources = teacher_sources(
            teacher_of(given),
            policy_folder=folders["reference"],
            state_folder=None,
            reference_folder=folders["reference"],
        )
        assert sources == (Source(folders["reference"], 1.0),)
        assert teacher_version(teacher_of(given), 0) == 0


@pytest.mark.parametrize(("weight", "name"), [(0.0, "reference"), (1.0, "policy")])
def test_the_ends_of_a_trust_region_are_one_model(folders: dict[str, Path], weight: float, name: str) -> None:
    places = {f"{place}_folder": folders[place] for place in ("policy", "state", "reference")}
    sources = teacher_sources(teacher_of({"kind": "trust_region", "weight": weight}), **places)
    assert sources == (Source(folders[name], 1.0),)


def test_an_ema_teacher_without_weights_yet_begins_at_the_policy(folders: dict[str, Path], tmp_path: Path) -> None:
    """A run goes on from one that had another teacher."""
    for state in (None, tmp_path):
        (source,) = teacher_sources(
            EmaTeacher(), policy_folder=folders["policy"], state_folder=state, reference_folder=folders["reference"]
        )
        assert source == Source(folders["policy"], 1.0)


def test_a_loaded_teacher_is_read_over_the_whole_vocabulary_like_a_model(folders: dict[str, Path]) -> None:
    """What training under full support does."""
    places = {f"{place}_folder": folders[place] for place in ("policy", "state", "reference")}
    student = load_model(folders["policy"], "cpu")
    sources = teacher_sources(teacher_of(KINDS[1]), **places)
    teacher = load_teacher(sources, lambda folder: load_model(folder, "cpu"), num_ids=num_ids(student))
    (trees,) = plan_batches(branches_of([np.array(CONTEXT)], [np.array(RESPONSES[0])]), max_tokens=99)
    with torch.no_grad():
        logps_NV = vocabulary_logps(teacher, hidden_states(teacher, make_batch(trees)), TEMPERATURE)
    torch.testing.assert_close(logps_NV, expected_logps("trust_region", folders, RESPONSES[0]), atol=1e-5, rtol=0)


def test_an_ema_teacher_moves_towards_the_student_by_its_rate_and_no_other_has_weights() -> None:
    folder = resolve_model("tiny:llama")
    ema, live = (parse_settings({"train": {"teacher": given}}).train for given in ({"rate": 0.05}, "live"))
    student, model = load_model(folder, "cpu"), load_model(folder, "cpu")
    with torch.no_grad():
        for weight, theirs in zip(student.parameters(), model.parameters(), strict=True):
            weight.fill_(1.0)
            theirs.fill_(0.0)
    state: Any = SimpleNamespace(
        student=student,
        teacher=ModelTeacher(model),
        optimizer=SimpleNamespace(state={}),
        weights=trained_parameters(student),
    )
    update_teacher(state, ema)
    assert all(torch.allclose(value, torch.tensor(0.05)) for value in model.parameters())
    assert open_state(folder, None, live, torch.device("cpu")).teacher is None


def test_a_larger_model_with_the_same_tokenizer_is_accepted_by_its_bytes(folders: dict[str, Path]) -> None:
    external = teacher_of(with_path("external", folders))
    assert check_teacher(external, folders["reference"]) == model_digest(folders["external"])
    assert check_teacher(EmaTeacher(), folders["reference"]) is None


def retokenized(tokens: dict[str, Any], change: str) -> None:
    vocab = tokens["model"]["vocab"]
    if change == "swapped":
        vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    else:
        tokens["added_tokens"].append({**tokens["added_tokens"][0], "id": len(vocab), "content": "<|extra|>"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "swapped",
            r"another tokenizer than the student in .*2 of them differ, e.g. '[ab]' is id \d+ there and id",
        ),
        ("extra", r"260 and 259 tokens, 1 of them differ, e.g. '<\|extra\|>' is id 259 there and absent here"),
        ("smaller", r"gives logits for 200 ids and the student in .* for 259"),
        ("missing", r"is not a folder; give a folder in Hugging Face format"),
    ],
)
def test_an_external_teacher_that_can_not_read_the_student_is_refused(
    folders: dict[str, Path], tmp_path: Path, change: str, message: str
) -> None:
    there = tmp_path / "there"
    if change != "missing":
        shutil.copytree(folders["external"], there)
    if change in ("swapped", "extra"):
        tokens = json.loads((there / "tokenizer.json").read_text())
        retokenized(tokens, change)
        (there / "tokenizer.json").write_text(json.dumps(tokens))
    if change == "smaller":
        config = json.loads((there / "config.json").read_text())
        (there / "config.json").write_text(json.dumps({**config, "vocab_size": 200}))
    with pytest.raises(InputError, match=message) as caught:
        check_teacher(teacher_of({"kind": "external", "path": str(there)}), folders["reference"])
    assert str(caught.value).startswith("train.teacher.path: ")
    assert "\n" not in str(caught.value)
