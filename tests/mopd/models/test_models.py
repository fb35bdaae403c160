"""Model folders: the tiny model's round trip, digests, and what is refused."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import pytest
import torch

from mopd.errors import InputError
from mopd.models import embedded
from mopd.models import folders as models
from mopd.models.chat_template import load_chat_template
from mopd.models.embedded.tiny_llama import TINY_WINDOW
from mopd.settings import ModelSettings
from tests.small_files import REFUSED, files_of_at_most


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOPD_CACHE", str(tmp_path_factory.mktemp("cache")))
        return models.resolve_model(embedded.TINY_MODEL)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def test_tiny_model_round_trip(tiny: Path) -> None:
    tokenizer = models.load_tokenizer(tiny)
    model = models.load_model(tiny, "cpu")
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config.vocab_size == len(tokenizer)
    assert models.model_window(tiny) == TINY_WINDOW
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "7 + 8 = ? é"}], add_generation_prompt=True, return_dict=False
    )
    expected = "<|im_start|>user\n7 + 8 = ? é<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(ids) == expected
    with torch.no_grad():
        assert model(torch.tensor([ids])).logits.shape == (1, len(ids), len(tokenizer))


def test_turns_end_generation(tiny: Path) -> None:
    tokenizer, model = models.load_tokenizer(tiny), models.load_model(tiny)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == end
    assert model.config.eos_token_id == model.generation_config.eos_token_id == end


def test_tiny_model_is_the_same_everywhere(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path / "other"))
    torch.manual_seed(1234)
    other = models.resolve_model(embedded.TINY_MODEL)
    assert other != tiny
    assert models.model_digest(other) == models.model_digest(tiny)
    lines = capfd.readouterr().err.splitlines()
    assert [line[:10] for line in lines] == ["mopd: maki", "mopd: made"]


def test_cached_model_is_made_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOPD_CACHE", str(tiny.parent))
    before = (tiny / "model.safetensors").stat().st_mtime_ns
    assert models.resolve_model(embedded.TINY_MODEL) == tiny
    assert (tiny / "model.safetensors").stat().st_mtime_ns == before


def test_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, _: object) -> None:
        (folder / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("MOPD_CACHE", str(tmp_path))
    monkeypatch.setitem(embedded.BUILDERS, embedded.TINY_MODEL, embedded.Builder(lambda: "broken", fail))
    with pytest.raises(OSError, match="No space"):
        models.resolve_model(embedded.TINY_MODEL)
    assert [path.name for path in tmp_path.iterdir()] == ["_broken.lock"]


def test_a_full_disk_is_an_os_error_that_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path))
    with files_of_at_most(100_000), pytest.raises(OSError, match=f"{REFUSED}: '{tmp_path}/tiny-llama"):
        models.resolve_model(embedded.TINY_MODEL)
    assert not list(tmp_path.glob("*/"))


def test_a_second_process_waits_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    begun, made = threading.Event(), []

    def write(folder: Path, _: object) -> None:
        begun.set()
        time.sleep(0.5)
        made.append(folder)
        (folder / "config.json").write_text("{}")

    monkeypatch.setenv("MOPD_CACHE", str(tmp_path))
    monkeypatch.setitem(embedded.BUILDERS, "tiny:slow", embedded.Builder(lambda: "slow", write))
    first = threading.Thread(target=models.resolve_model, args=("tiny:slow",))
    first.start()
    begun.wait()
    assert models.resolve_model("tiny:slow") == tmp_path / "slow"
    first.join()
    assert len(made) == 1
    assert "mopd: waiting for tiny:slow, which another process is making" in capfd.readouterr().err.splitlines()


def test_second_builder_keeps_the_first_ones_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "model", tmp_path / "aside"
    for folder in (first, second):
        folder.mkdir()
        (folder / "config.json").write_text(folder.name)
    embedded._publish(second, first)
    assert (first / "config.json").read_text() == "model"


def test_digest_follows_content_not_place(tiny: Path, copy: Path) -> None:
    assert models.model_digest(copy) == models.model_digest(tiny)
    (copy / "notes.md").write_text("not part of the model")
    assert models.model_digest(copy) == models.model_digest(tiny)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "chat_template.jinja"])
def test_digest_changes_with_every_part(tiny: Path, copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[-2] ^= 1
    (copy / name).write_bytes(bytes(content))
    assert models.model_digest(copy) != models.model_digest(tiny)


def test_unknown_names() -> None:
    with pytest.raises(InputError, match=r"'tiny:gpt' is unknown; choose a folder, a name of the hub"):
        models.resolve_model("tiny:gpt")
    with pytest.raises(InputError, match="/no/such is not a folder"):
        models.resolve_model("/no/such")


@pytest.mark.parametrize(
    ("missing", "message"),
    [("config.json", "no config.json"), ("model.safetensors", "no weights"), ("tokenizer.json", "no tokenizer")],
)
def test_folders_that_are_no_model(copy: Path, missing: str, message: str) -> None:
    (copy / missing).unlink()
    with pytest.raises(InputError, match=message):
        models.resolve_model(copy)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not valid JSON"), ("[]", "a JSON object"), ("{}", "names no model_type")]
)
def test_config_that_is_none(copy: Path, text: str, message: str) -> None:
    (copy / "config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        models.resolve_model(copy)


def test_missing_weight_shard(copy: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"names model-00002\.safetensors, which is missing"):
        models.resolve_model(copy)


def test_damaged_weights(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(InputError, match="can't be loaded"):
        models.load_model(copy)


def test_tokenizer_without_chat_template(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match=r"no chat template; .* name a file in model\.chat_template"):
        load_chat_template(copy, ModelSettings())
    named = load_chat_template(copy, ModelSettings(chat_template="{{ messages[0].content }}"))
    assert named.rendered([{"role": "user", "content": "Who?"}]) == "Who?"


def test_autocast_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    assert models.autocast_dtype("float32", "cpu") is None
    assert models.autocast_dtype("bfloat16", torch.device("cpu")) is torch.bfloat16
    monkeypatch.setattr(models, "cpu_flags", lambda: frozenset({"avx2"}))
    assert models.autocast_dtype("auto", "cpu") is None
    with pytest.raises(InputError, match="float16"):
        models.autocast_dtype("float16", "cpu")


def test_cpu_flags(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n")
    assert models.cpu_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "amx_bf16"}
    assert models.cpu_flags(tmp_path / "absent") == frozenset()


@pytest.mark.slow
def test_embedded_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path))
    folder = models.resolve_model(embedded.EMBEDDED_MODEL)
    tokenizer, model = models.load_tokenizer(folder), models.load_model(folder)
    ids = tokenizer("The capital of France is Paris. One, two, three, four, five.", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert model(ids, labels=ids).loss < 3.0, "weights that were mixed up give about ln(49152) = 10.8 nats a token"
    assert models.model_window(folder) == 8192
    assert tokenizer.encode("12 x") == tokenizer.convert_tokens_to_ids(["1", "2", "Ġx"])
