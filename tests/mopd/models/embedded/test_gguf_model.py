"""A Qwen2 through GGUF is the model that it was; and the real one, where it is in the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mopd.models import folders
from mopd.models.embedded import BUILDERS, CODER_MODEL, cache_folder
from mopd.models.embedded.gguf_model import LAYER_NAMES, write_qwen2
from tests.mopd.models.embedded.made_gguf import gguf_bytes

NUM_PADDING = 4
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>")
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"


def small_qwen2(num_ids: int) -> Any:
    """A random Qwen2 of two layers in bf16, head and embeddings tied, with biases that count."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=num_ids,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        rms_norm_eps=2.0**-20,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config).bfloat16().eval()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.5)
    return model


def tokens_and_kinds() -> tuple[list[str], list[int]]:
    """A token a byte and one of two, the special ones, and ids that only pad the vocabulary."""
    from tokenizers.pre_tokenizers import ByteLevel

    plain = [*sorted(ByteLevel.alphabet()), "ab"]
    padding = [f"[PAD{number}]" for number in range(NUM_PADDING)]
    return [*plain, *SPECIAL, *padding], [1] * len(plain) + [3, 3, 3, 4] + [5] * len(padding)


def gguf_of(model: Any) -> bytes:
    """The file, with other embeddings than the head's."""
    config, (tokens, kinds) = model.config, tokens_and_kinds()
    metadata = {
        "qwen2.block_count": config.num_hidden_layers,
        "qwen2.context_length": config.max_position_embeddings,
        "qwen2.embedding_length": config.hidden_size,
        "qwen2.feed_forward_length": config.intermediate_size,
        "qwen2.attention.head_count": config.num_attention_heads,
        "qwen2.attention.head_count_kv": config.num_key_value_heads,
        "qwen2.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "qwen2.rope.freq_base": config.rope_parameters["rope_theta"],
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.chat_template": TEMPLATE,
    }
    tensors = {_gguf_name(name): weight for name, weight in model.named_parameters()}
    tensors["output.weight"] = tensors["token_embd.weight"]
    tensors["token_embd.weight"] = tensors["token_embd.weight"] + 1
    arrays = {name: weight.detach().float().numpy() for name, weight in tensors.items()}
    return gguf_bytes(metadata, {name: (0, array.shape, array.tobytes()) for name, array in arrays.items()})


def _gguf_name(name: str) -> str:
    """The GGUF name of a weight of transformers."""
    parts = {full: short for short, full in LAYER_NAMES.items()}
    top = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in top:
        return top[name]
    _, _, layer, rest = name.split(".", 3)
    part, _, kind = rest.rpartition(".")
    return f"blk.{layer}.{parts[part]}.{kind}"


@pytest.fixture(scope="module")
def original() -> Any:
    return small_qwen2(len(tokens_and_kinds()[0]))


@pytest.fixture(scope="module")
def written(original: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original, through GGUF."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "file.gguf").write_bytes(gguf_of(original))
    write_qwen2(folder / "file.gguf", folder)
    return folder


def test_weights_come_through_and_the_heads_copy_is_the_one_taken(original: Any, written: Path) -> None:
    from safetensors import safe_open

    with safe_open(str(written / "model.safetensors"), "pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = dict(original.named_parameters())
    assert stored.keys() == expected.keys(), "no head beside the embeddings"
    assert all(torch.equal(weight, expected[name]) for name, weight in stored.items())
    model = folders.load_model(written)
    assert model.config.rms_norm_eps == original.config.rms_norm_eps
    ids = torch.arange(20)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, original.float()(ids).logits)


def test_tokenizer_knows_the_files_tokens_but_its_padding(original: Any, written: Path) -> None:
    tokens = tokens_and_kinds()[0]
    tokenizer = folders.load_tokenizer(written)
    assert folders.vocabulary(written) == {token: number for number, token in enumerate(tokens[:-NUM_PADDING])}
    assert folders.num_output_ids(written) == len(tokens)
    assert folders.model_window(written) == 512
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("abx e\u0301<|im_end|>")) == [
        *("ab", "x", "Ġ", "Ã", "©", "<|im_end|>")
    ]
    turn = tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], return_dict=False)
    assert tokenizer.convert_ids_to_tokens(turn) == ["<|im_start|>", "ab", "<|im_end|>"]
    assert tokenizer.decode(tokenizer.encode("<tool_call>a<|im_end|>"), skip_special_tokens=True) == "<tool_call>a"


def test_end_of_turn_and_end_of_text_end_generation(written: Path) -> None:
    tokenizer, model = folders.load_tokenizer(written), folders.load_model(written)
    text, turn = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id) == (turn, text, None)
    assert model.generation_config.eos_token_id == [turn, text]
    assert model.config.eos_token_id == turn


@pytest.mark.slow
def test_the_real_coder_answers() -> None:
    folder = cache_folder() / BUILDERS[CODER_MODEL].folder_name()
    if not folder.is_dir():
        pytest.skip(f"{CODER_MODEL} is not in the cache; a run with it fetches 491 MB")
    tokenizer, model = folders.load_tokenizer(folder), folders.load_model(folder)
    assert sum(weight.numel() for weight in model.parameters()) == 494_032_768
    assert len(folders.vocabulary(folder)) == 151_665
    question = [{"role": "user", "content": "What is 17 + 25?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert tokenizer.decode(prompt["input_ids"][0]).startswith("<|im_start|>system\nYou are Qwen, created by Alibaba")
    with torch.no_grad():
        reply = model.generate(**prompt, do_sample=False, max_new_tokens=16)[0, prompt["input_ids"].shape[1] :]
    assert "42" in tokenizer.decode(reply)
    assert reply[-1] == tokenizer.eos_token_id
