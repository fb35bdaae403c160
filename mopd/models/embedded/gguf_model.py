"""From GGUF to a Hugging Face folder: the architectures of the embedded models, Llama (SmolLM2) and Qwen2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mopd.models.embedded.gguf_file import GgufFile, read_gguf
from mopd.models.embedded.saving import bpe_tokenizer, save_model

if TYPE_CHECKING:
    import torch

TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
EMBEDDINGS, HEAD = "token_embd.weight", "output.weight"
CONTROL_TOKEN, USER_TOKEN, UNUSED_TOKEN = 3, 4, 5
END_OF_TEXT = "<|endoftext|>"


def write_llama(gguf: Path, folder: Path) -> None:
    """A Llama in fp32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    file = read_gguf(gguf)
    config = LlamaConfig(**_shape(file, "llama"), tie_word_embeddings=HEAD not in file.places)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    weights = {_name(name): torch.from_numpy(_unpermuted(name, file.tensor(name), heads)) for name in file.places}
    model = _filled(LlamaForCausalLM, config, weights)
    save_model(model, _llama_tokenizer(file.metadata, window=config.max_position_embeddings), folder)


def write_qwen2(gguf: Path, folder: Path) -> None:
    """A Qwen2 in bf16, in which Qwen publishes it, with head and embeddings tied, as Qwen's own are.

    The file has a copy of the shared matrix for each, the head's of more bits; that is the one taken. What bf16 rounds
    off, 2⁻⁹, is far below what the file's own numbers of four to eight bits have lost.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    file = read_gguf(gguf)
    config = Qwen2Config(**_shape(file, "qwen2"), tie_word_embeddings=True, dtype="bfloat16")
    shared = HEAD if HEAD in file.places else EMBEDDINGS
    sources = {name: name for name in file.places if name != HEAD} | {EMBEDDINGS: shared}
    weights = {_name(name): torch.from_numpy(file.tensor(source)).bfloat16() for name, source in sources.items()}
    model = _filled(Qwen2ForCausalLM, config, weights)
    tokenizer = _qwen2_tokenizer(file.metadata, window=config.max_position_embeddings)
    save_model(model, tokenizer, folder, further_ends=(END_OF_TEXT,))


def _shape(file: GgufFile, architecture: str) -> dict[str, Any]:
    """What the configs of both architectures are made from."""
    metadata = {key.removeprefix(f"{architecture}."): value for key, value in file.metadata.items()}
    return {
        "vocab_size": file.places[EMBEDDINGS].shape[0],
        "hidden_size": metadata["embedding_length"],
        "intermediate_size": metadata["feed_forward_length"],
        "num_hidden_layers": metadata["block_count"],
        "num_attention_heads": metadata["attention.head_count"],
        "num_key_value_heads": metadata["attention.head_count_kv"],
        "max_position_embeddings": metadata["context_length"],
        "rms_norm_eps": metadata["attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": metadata["rope.freq_base"]},
    }


def _filled(architecture: type, config: Any, weights: dict[str, torch.Tensor]) -> Any:
    """The model with these weights, which are not copied."""
    import torch

    with torch.device("meta"):
        model = architecture(config)
    missing = set(dict(model.named_parameters())) - set(weights)
    assert not missing, f"weights that the file lacks: {sorted(missing)}"
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    return model


def _name(name: str) -> str:
    """The transformers name of a GGUF tensor, e.g. blk.3.attn_q.weight -> model.layers.3.self_attn.q_proj.weight."""
    *place, part, kind = name.split(".")
    if not place:
        return f"{TOP_NAMES[part]}.{kind}"
    return f"model.layers.{place[1]}.{LAYER_NAMES[part]}.{kind}"


def _unpermuted(name: str, weight: np.ndarray, heads: dict[str, int]) -> np.ndarray:
    """A Llama's query and key rows from GGUF's rotary order (pairs side by side) to transformers' (halves)."""
    num_heads = heads.get(name.split(".")[-2])
    if num_heads is None:
        return weight
    pairs = weight.reshape(num_heads, weight.shape[0] // num_heads // 2, 2, weight.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(weight.shape))


def _llama_tokenizer(metadata: dict[str, Any], *, window: int) -> Any:
    """The byte-level BPE of a GGUF file, with its special tokens and chat template."""
    kinds = _token_kinds(metadata)
    special = [token for token, kind in kinds.items() if kind == CONTROL_TOKEN]
    return bpe_tokenizer(
        list(kinds), _merges(metadata), special, window=window, template=metadata["tokenizer.chat_template"]
    )


def _qwen2_tokenizer(metadata: dict[str, Any], *, window: int) -> Any:
    """Qwen2's byte-level BPE; ids that the file only pads its vocabulary with have no token."""
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    kinds = _token_kinds(metadata)
    tokenizer = Qwen2Tokenizer(
        vocab={token: number for number, token in enumerate(kinds) if kinds[token] != UNUSED_TOKEN},
        merges=_merges(metadata),
        eos_token="<|im_end|>",
        model_max_length=window,
        chat_template=metadata["tokenizer.chat_template"],
    )
    added = {token: kind for token, kind in kinds.items() if kind in (CONTROL_TOKEN, USER_TOKEN)}
    tokenizer.add_tokens(
        [AddedToken(token, special=kind == CONTROL_TOKEN, normalized=False) for token, kind in added.items()]
    )
    return tokenizer


def _token_kinds(metadata: dict[str, Any]) -> dict[str, int]:
    """Each token's kind, in order of id."""
    return dict(zip(metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"], strict=True))


def _merges(metadata: dict[str, Any]) -> list[tuple[str, ...]]:
    return [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
