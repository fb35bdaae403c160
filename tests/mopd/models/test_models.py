"""Model folders: the tiny model's round trip, digests, and what is refused."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from mopd.errors import InputError
from mopd.models import embedded
from mopd.models import folders as models
from mopd.models.gguf_file import read_gguf


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
    assert models.model_window(tiny) == embedded.TINY_WINDOW
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
    def fail(folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("MOPD_CACHE", str(tmp_path))
    monkeypatch.setitem(embedded.BUILDERS, embedded.TINY_MODEL, embedded.Builder(lambda: "broken", fail))
    with pytest.raises(OSError, match="No space"):
        models.resolve_model(embedded.TINY_MODEL)
    assert list(tmp_path.iterdir()) == []


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
    with pytest.raises(InputError, match="no chat template"):
        models.load_tokenizer(copy)


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


def gguf_bytes(kind: int, data: bytes, shape: tuple[int, ...] = (32,)) -> bytes:
    """A GGUF file with one key and one tensor `w`."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    header = struct.pack("<IIQQ", 0x46554747, 3, 1, 1)
    header += text("names") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    header += text("w") + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
    header += struct.pack("<IQ", kind, 0)
    return header + b"\0" * (-len(header) % 32) + data


def test_gguf_blocks(tmp_path: Path) -> None:
    path = tmp_path / "file.gguf"
    halves = np.array([0.5, -1.0], dtype="<f2").tobytes()
    path.write_bytes(gguf_bytes(3, halves + bytes(range(16))))
    file = read_gguf(path)
    assert file.metadata == {"names": ["a", "b"]}
    np.testing.assert_array_equal(file.tensors["w"], [*(i * 0.5 - 1.0 for i in range(16)), *[-1.0] * 16])
    path.write_bytes(gguf_bytes(8, np.float16(0.25).tobytes() + np.arange(-16, 16, dtype="i1").tobytes(), (8, 4)))
    np.testing.assert_array_equal(read_gguf(path).tensors["w"], np.arange(-16, 16).reshape(4, 8) * 0.25)


def test_gguf_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "file.gguf"
    for content, message in (
        (b"GGUG" + b"\0" * 40, "wrong first bytes"),
        (gguf_bytes(2, b"\0" * 64), "tensor type 2"),
        (gguf_bytes(0, b"\0" * 64), "smaller than"),
        (gguf_bytes(0, b"")[:60], "readable"),
        (b"", "empty"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_gguf(path)


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
