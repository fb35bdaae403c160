"""How a model that is made here is written: as engines and transformers look it up."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def bpe_tokenizer(
    tokens: list[str], merges: list[tuple[str, ...]], special: list[str], *, window: int, template: str
) -> Any:
    """A byte-level BPE whose turns begin with `<|im_start|>` and end with `<|im_end|>`."""
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


def save_model(model: Any, tokenizer: Any, folder: Path, *, further_ends: tuple[str, ...] = ()) -> None:
    """Saves both; the tokenizer's end of a turn ends generation, in every place an engine looks it up.

    `further_ends`: tokens that end generation too.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    for config in (model.config, model.generation_config):
        config.bos_token_id = tokenizer.bos_token_id
        config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    if further_ends:
        ends = [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(further_ends)]
        model.generation_config.eos_token_id = ends
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
