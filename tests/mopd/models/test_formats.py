"""What is not opened of a model folder unless it is asked for."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from mopd.errors import InputError
from mopd.hub.fetch import fetch_files
from mopd.hub.names import HubName
from mopd.models.folders import load_model, load_tokenizer, resolve_model
from mopd.models.formats import check_weights_format


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """The tiny model with its weights in a pickle."""
    folder = Path(shutil.copytree(resolve_model("tiny:llama"), tmp_path / "pickled"))
    torch.save(load_model(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_pickled_weights_are_opened_where_they_are_allowed(pickled: Path) -> None:
    message = r"has its weights in pytorch_model.bin alone, .* set model.allow_pickled_weights to true"
    with pytest.raises(InputError, match=message):
        check_weights_format(resolve_model(pickled), "model.path", allow_pickled=False)
    check_weights_format(resolve_model(pickled), "model.path", allow_pickled=True)
    weights = dict(load_model(pickled).named_parameters())
    expected = dict(load_model(resolve_model("tiny:llama")).named_parameters())
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


def test_weights_that_were_not_copied_wholly_are_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(resolve_model("tiny:llama"), tmp_path / "part"))
    check_weights_format(folder, "model.path", allow_pickled=False)
    weights = folder / "model.safetensors"
    for length in (1000, weights.stat().st_size - 1):
        weights.write_bytes(weights.read_bytes()[:length])
        with pytest.raises(InputError, match=r"^model\.path: .*/model\.safetensors: is damaged or not whole"):
            check_weights_format(folder, "model.path", allow_pickled=False)


def test_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(resolve_model("tiny:llama"), tmp_path / "deeper"))
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    message = r"deeper: lacks 9 of the weights that its config\.json asks for \(model\.layers\.2"
    with pytest.raises(InputError, match=message):
        load_model(folder)


def test_a_head_that_is_the_embedding_is_not_missed(tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(resolve_model("tiny:llama"))
    config.tie_word_embeddings = True
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as weights:
        assert "lm_head.weight" not in weights.keys()  # noqa: SIM118
    assert load_model(tmp_path).get_output_embeddings() is not None


def test_code_in_a_pickle_is_not_run(pickled: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    (pickled / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Trap()}, protocol=2))
    with pytest.raises(InputError, match="the model can't be loaded"):
        load_model(pickled)
    assert not (tmp_path / "sprung").exists()


def test_code_of_a_folder_is_never_run(pickled: Path, tmp_path: Path) -> None:
    config = json.loads((pickled / "config.json").read_text())
    own = {"auto_map": {"AutoModelForCausalLM": "modeling.Their", "AutoConfig": "modeling.Config"}}
    (pickled / "modeling.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    (pickled / "config.json").write_text(json.dumps({**config, **own}))
    load_model(resolve_model(pickled))  # transformers has a class of its own for it
    (pickled / "config.json").write_text(json.dumps({**config, **own, "model_type": "their_own"}))
    with pytest.raises(InputError, match=r"needs code of its own \(auto_map\), .* no model_type 'their_own'"):
        resolve_model(pickled)
    assert not (tmp_path / "sprung").exists()


def test_code_of_a_tokenizer_is_never_run(pickled: Path, tmp_path: Path) -> None:
    settings = json.loads((pickled / "tokenizer_config.json").read_text())
    own = {"tokenizer_class": "TheirTokenizer", "auto_map": {"AutoTokenizer": ["theirs.TheirTokenizer", None]}}
    (pickled / "theirs.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    (pickled / "tokenizer_config.json").write_text(json.dumps({**settings, **own}))
    try:
        load_tokenizer(pickled)
    except InputError as error:
        assert "the tokenizer can't be loaded" in str(error)
    assert not (tmp_path / "sprung").exists()


def test_a_disk_without_room_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    name = HubName("model", "acme/large", "0" * 40)
    message = r"model.path: acme/large@0+: 16,000,000.0 GB are to be loaded into .*, where .* GB are free; make room"
    with pytest.raises(InputError, match=message):
        fetch_files(name, "model.path", ["w"], sizes={"w": 16 * 10**15}, snapshot=tmp_path, progress=print)
