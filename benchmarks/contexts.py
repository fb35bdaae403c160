"""Contexts a second: what conditioning a shard costs the CPU, on replies made of the tokenizer's own words.

    python benchmarks/contexts.py --prompts 32 --samples 8 --tokens 2048 --out FILE.json

Half of every group succeeds. `times_a_peer`: tokens that the tokenizer made, divided by those of the different replies
that are shown, or stand in the contexts that a control imitates, which is the least for any way; headings, questions
and the ends of replies are in it too. Seconds are the CPU's, and the least of the repeats: other work on the machine
only adds to them.

`scoring_needs`: contexts a second that scoring of these rollouts reads on the same machine, by the FLOPs of the model
whose tokenizer it is and the rate at which `model_flops.py` saw it score (benchmarks/results/model_flops.json, the last
result of the shape `demo`); `--flops-per-second` is another machine's rate. `times_need` is ours over it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gpu_training import forward_flops
from model_flops import config_of
from results_file import add_result

from mopd.condition import condition
from mopd.models.chat_template import ChatTemplate
from mopd.models.embedded import EMBEDDED_MODEL
from mopd.models.folders import load_tokenizer, resolve_model
from mopd.settings.condition import ConditionSettings, ControlVariant

Row = dict[str, Any]
MODEL_FLOPS = Path(__file__).parent / "results" / "model_flops.json"
BUDGET = 10 * 4096
"""Tokens of a context; none of these needs as many."""
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
    parser.add_argument("--flops-per-second", type=float, default=scoring_rate(), help="of scoring (default: measured)")
    options = parser.parse_args()
    folder = resolve_model(options.model)
    tokenizer, sizes = load_tokenizer(folder), read_sizes(folder)
    shard = make_shard(options.prompts, options.samples, options.tokens, tokenizer)
    results = []
    for variant in options.variants:
        contexts, row = measure(variant, shard, tokenizer, options.repeats)
        needs = options.flops_per_second / scoring_flops(sizes, shard[1], contexts)
        times_need = round(row["contexts_per_second"] / needs, 1)
        results.append({**row, "scoring_needs": float(f"{needs:.3g}"), "times_need": times_need})
    for row in results:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        add_result(options.out, results, scoring_flops_per_second=options.flops_per_second)


def scoring_rate() -> float:
    """FLOPs a second, of student and teacher together."""
    result = next(kept for kept in reversed(json.loads(MODEL_FLOPS.read_text())) if kept["shape"] == "demo")
    row = next(row for row in result["results"] if row["way"] == "now" and row["part"] == "scoring")
    return 1e9 * float(row["gflop"]) / float(row["seconds"])


def read_sizes(folder: Path) -> Row:
    """Of a model's layers."""
    from transformers import AutoConfig

    return config_of(SimpleNamespace(config=AutoConfig.from_pretrained(folder)))


def scoring_flops(sizes: Row, rollouts: list[Row], contexts: list[Row]) -> float:
    """What a context takes: both models read its rollout, prompts and contexts that are shared once."""
    replies = [row["token_ids"] for row in rollouts]
    shown = [{**context, "token_ids": ids} for context, ids in zip(contexts, replies, strict=True)]
    both = forward_flops(sizes, rollouts, "prompt_token_ids") + forward_flops(sizes, shown, "context_token_ids")
    return both / len(rollouts)


class Counting:
    """A tokenizer that counts the tokens that it makes."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.all_special_tokens = tokenizer.all_special_tokens
        self.added_tokens_decoder = tokenizer.added_tokens_decoder
        self.get_chat_template = tokenizer.get_chat_template
        self.backend_tokenizer = tokenizer.backend_tokenizer
        self.tokens = 0

    def encode(self, text: str, **options: Any) -> list[int]:
        return self._counted(self._tokenizer.encode(text, **options))

    def apply_chat_template(self, messages: Any, **options: Any) -> Any:
        made = self._tokenizer.apply_chat_template(messages, **options)
        return self._counted(made) if options["tokenize"] else made

    def _counted(self, ids: list[int]) -> list[int]:
        self.tokens += len(ids)
        return ids


def measure(variant: str, shard: tuple[list[Row], ...], tokenizer: Any, repeats: int) -> tuple[list[Row], Row]:
    """The contexts of one variant, and how many a second."""
    settings = ConditionSettings.model_validate({"variant": variant, "max_context_tokens": BUDGET})
    counting = Counting(tokenizer)
    contexts = condition(*shard, settings, ChatTemplate(counting), run_seed=0)
    different = {row["context_digest"] for row in contexts}
    peers = tokens_of_peers(contexts)
    if isinstance(settings.variant, ControlVariant):
        imitated = ConditionSettings.model_validate(
            {"variant": settings.variant.imitates, "max_context_tokens": BUDGET}
        )
        peers |= tokens_of_peers(condition(*shard, imitated, ChatTemplate(tokenizer), run_seed=0))
    times = []
    for _ in range(repeats):
        began = time.process_time()
        condition(*shard, settings, ChatTemplate(tokenizer), run_seed=0)
        times.append(time.process_time() - began)
    return contexts, {
        "variant": variant,
        "contexts": len(contexts),
        "different": len(different),
        "mean_tokens": round(statistics.fmean(row["num_tokens"] for row in contexts)),
        "times_a_peer": round(counting.tokens / sum(peers.values()), 2),
        "seconds": round(min(times), 2),
        "contexts_per_second": round(len(contexts) / min(times), 1),
    }


def tokens_of_peers(contexts: list[Row]) -> dict[tuple[str, int], int]:
    """Of each reply that is shown."""
    return {(peer["prompt_id"], peer["sample"]): peer["tokens"] for row in contexts for peer in row["peers"]}


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
            ids = tokenizer.encode(text, add_special_tokens=False)
            rollouts.append({**keys, "sample": sample, "text": text, "prompt_token_ids": asked, "token_ids": ids})
            verdicts.append({**keys, "sample": sample, "success": success, "reward": float(success), "feedback": None})
    return prompts, rollouts, verdicts


if __name__ == "__main__":
    main()
