"""Contexts a second: what conditioning a shard costs the CPU, on replies made of the tokenizer's own words.

    python benchmarks/contexts.py --prompts 32 --samples 8 --tokens 2048 --out FILE.json

Half of every group succeeds. `times_tokenized`: tokens that the tokenizer made, divided by those of all different
contexts, which is the least for any way that renders each context by itself. Seconds are the CPU's, and the least of
the repeats: other work on the machine only adds to them.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path
from typing import Any

from results_file import add_result

from mopd.condition import condition
from mopd.models.chat_template import ChatTemplate
from mopd.models.embedded import EMBEDDED_MODEL
from mopd.models.folders import load_tokenizer, resolve_model
from mopd.settings.condition import ConditionSettings

Row = dict[str, Any]
VARIANTS = ("success", "contrastive", "unrelated_prompt", "success_only")
WORDS = (
    "so",
    "the",
    "sum",
    "is",
    "not",
    "17",
    "but",
    "42",
    ",",
    "and",
    "x",
    "=",
    "3",
    "/",
    "4",
    "as",
    "was",
    "asked",
    ";",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=8, help="rollouts of a prompt")
    parser.add_argument("--tokens", type=int, default=2048, help="of a reply, about")
    parser.add_argument("--model", default=EMBEDDED_MODEL, help="whose tokenizer is taken")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    options = parser.parse_args()
    tokenizer = load_tokenizer(resolve_model(options.model))
    shard = make_shard(options.prompts, options.samples, options.tokens, tokenizer)
    results = [measure(variant, shard, tokenizer, options.repeats) for variant in options.variants]
    for row in results:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        add_result(options.out, results)


class Counting:
    """A tokenizer that counts the tokens that it makes."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.all_special_tokens = tokenizer.all_special_tokens
        self.added_tokens_decoder = tokenizer.added_tokens_decoder
        self.get_chat_template = tokenizer.get_chat_template
        self.tokens = 0

    def encode(self, text: str, **options: Any) -> list[int]:
        return self._counted(self._tokenizer.encode(text, **options))

    def apply_chat_template(self, messages: Any, **options: Any) -> list[int]:
        return self._counted(self._tokenizer.apply_chat_template(messages, **options))

    def _counted(self, ids: list[int]) -> list[int]:
        self.tokens += len(ids)
        return ids


def measure(variant: str, shard: tuple[list[Row], ...], tokenizer: Any, repeats: int) -> Row:
    """Contexts a second of one variant."""
    settings = ConditionSettings.model_validate({"variant": variant, "max_context_tokens": 10 * 4096})
    counting = Counting(tokenizer)
    contexts = condition(*shard, settings, ChatTemplate(counting), run_seed=0)
    different = {row["context_digest"]: row["num_tokens"] for row in contexts}
    times = []
    for _ in range(repeats):
        began = time.process_time()
        condition(*shard, settings, ChatTemplate(tokenizer), run_seed=0)
        times.append(time.process_time() - began)
    return {
        "variant": variant,
        "contexts": len(contexts),
        "different": len(different),
        "mean_tokens": round(statistics.fmean(row["num_tokens"] for row in contexts)),
        "times_tokenized": round(counting.tokens / sum(different.values()), 2),
        "seconds": round(min(times), 2),
        "contexts_per_second": round(len(contexts) / min(times), 1),
    }


def make_shard(num_prompts: int, num_samples: int, num_tokens: int, tokenizer: Any) -> tuple[list[Row], ...]:
    """Prompts, rollouts and verdicts."""
    draw = random.Random(0)
    prompts, rollouts, verdicts = [], [], []
    for number in range(num_prompts):
        keys = {"run": "benchmark", "round": 0, "prompt_id": f"p{number}"}
        messages = [{"role": "user", "content": f"How much is {number} + {number}?"}]
        prompts.append({**keys, "messages": messages})
        asked = ChatTemplate(tokenizer).ids(messages)
        for sample in range(num_samples):
            success = sample % 2 == 0
            text = " ".join(draw.choices(WORDS, k=num_tokens))
            rollouts.append({**keys, "sample": sample, "text": text, "prompt_token_ids": asked})
            verdicts.append({**keys, "sample": sample, "success": success, "reward": float(success), "feedback": None})
    return prompts, rollouts, verdicts


if __name__ == "__main__":
    main()
