"""Chat templates that installed packages ship, each with a tokenizer of bytes that knows the tokens it writes."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TAG = re.compile(r"<\|[^|<>]+\|>|<｜[^｜<>]+｜>|<(?:start|end)_of_turn>|<\|?turn\|?>|\[/?INST\]")
THINK_TAGS = ("<think>", "</think>")
FOLDERS = (("trl", "chat_templates"), ("vllm", "transformers_utils/chat_templates"))


def _templates() -> dict[str, Path]:
    paths = {}
    for package, folder in FOLDERS:
        spec = find_spec(package)
        root = Path(str(spec.origin)).parent / folder if spec else None
        paths |= {path.stem: path for path in sorted(root.glob("*.jinja"))} if root else {}
    return paths


TEMPLATES = _templates()
"""By name; empty where neither package is installed."""
IN_PARTS = {name for name in TEMPLATES if re.match("idefics3|smolvlm|llava_next|template_kimi_audio", name)}
"""Those that take messages in parts alone, for images."""


@cache
def tokenizer_of(name: str, *, special_think_tags: bool = False) -> Any:
    """A tokenizer with the template of that name: bytes, the template's own tokens, and the tags of thoughts."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    text = TEMPLATES[name].read_text()
    tokens = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", *sorted(set(TAG.findall(text)))])
    tokenizer.add_tokens([AddedToken(tag, special=special_think_tags, normalized=False) for tag in THINK_TAGS])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=text)
