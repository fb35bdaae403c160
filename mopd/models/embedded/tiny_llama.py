"""A tiny random Llama, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mopd.models.embedded.saving import bpe_tokenizer, save_model

TINY_WINDOW = 8192
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_tiny_llama(folder: Path) -> None:
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
    save_model(model, tokenizer, folder)


def _byte_tokenizer() -> Any:
    """A tokenizer without merges: the 256 bytes and three special tokens."""
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = [*SPECIAL_TOKENS, *sorted(ByteLevel.alphabet())]
    return bpe_tokenizer(tokens, [], list(SPECIAL_TOKENS), window=TINY_WINDOW, template=CHAT_TEMPLATE)
