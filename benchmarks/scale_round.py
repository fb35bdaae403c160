"""The arithmetic of `scale_on_paper.py`: seconds and bytes of a round of Qwen3-8B on so many H100s, part by part.

Nothing here runs a model. Rates are those of `scale_rates.py`, bytes those of `mopd plan`. Replies are taken to be of
all lengths up to the longest alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from heapq import heapify, heappop, heappush
from itertools import islice
from math import ceil

from gpu_training import SHAPES
from scale_rates import rate

from mopd.memory.disk import policy_bytes, trainer_state_bytes
from mopd.memory.footprint import BFLOAT16, FLOAT32, cache_bytes, shape_of
from mopd.memory.sizes import Device, Models
from mopd.memory.stages import stage_memory
from mopd.memory.training import checkpoints, optimizer_bytes
from mopd.settings import Settings, parse_settings

LONGEST, PROMPT, SAMPLES, GPUS_A_HOST = 8192, 512, 8, 8
"""Tokens of a reply at most, tokens of a prompt, replies a prompt."""
GENERATE, SCORE, TRAIN = BUSY = ("generate", "score", "train, on the rank with most to do")
"""Parts of a round in which all GPUs compute."""
UTILIZATION = 0.9
"""Of a GPU's memory, as vLLM takes it by default."""
GOLDEN = 0.6180339887498949
TABLES_OF_TRAINING = 3
"""That training reads beside each other: rollouts, verdicts, scores."""


@cache
def models() -> Models:
    """Qwen3-8B by its config, without weights."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    with torch.device("meta"):
        shape = shape_of(AutoModelForCausalLM.from_config(Qwen3Config(**SHAPES["qwen3-8b"])))
    return Models(shape, shape)


@dataclass(frozen=True)
class Case:
    """A round of so many prompts on so many GPUs: an engine, a scorer and a rank a GPU, a shard an engine."""

    num_prompts: int
    num_gpus: int
    waves: int = 1
    """Shards that an engine makes one after the other."""

    @property
    def name(self) -> str:
        return f"{self.num_prompts} × {SAMPLES}, {self.num_gpus} GPUs"

    @property
    def num_hosts(self) -> int:
        return self.num_gpus // GPUS_A_HOST

    @property
    def num_rollouts(self) -> int:
        return self.num_prompts * SAMPLES

    @property
    def num_tokens(self) -> float:
        """Of all replies."""
        return self.num_rollouts * LONGEST / 2

    @property
    def engines(self) -> int:
        """Those that have a shard to make."""
        return min(self.num_gpus, self.num_prompts)

    @property
    def num_shards(self) -> int:
        return min(self.engines * self.waves, self.num_prompts)

    @property
    def device(self) -> Device:
        return Device("cuda", int(rate("memory")), BFLOAT16, self.num_gpus)

    @cached_property
    def settings(self) -> Settings:
        """An update is the paper's 32 prompts, on ranks that share the weights."""
        return parse_settings(
            {
                "prompts_per_shard": self.num_prompts // self.num_shards,
                "generate": {"num_prompts": self.num_prompts, "num_samples": SAMPLES, "max_tokens": LONGEST},
                "score": {"max_tokens_per_pass": 32_768, "chunk_positions": 2048},
                "train": {
                    "ranks": self.num_gpus,
                    "shard": "full",
                    "max_tokens_per_pass": 16_384,
                    "updates_per_round": self.num_prompts // 32,
                },
            }
        )

    @property
    def policy(self) -> int:
        return policy_bytes(self.settings, models())

    @property
    def teacher(self) -> int:
        return trainer_state_bytes(self.settings, models()) - self.optimizer

    @property
    def optimizer(self) -> int:
        return optimizer_bytes(self.settings, models().student)

    @property
    def saved(self) -> int:
        """What a round of training writes: policy, teacher, optimizer."""
        return self.policy + self.teacher + self.optimizer

    @property
    def score_bytes(self) -> float:
        return self.num_tokens * rate("score_bytes")

    @property
    def shard_bytes(self) -> float:
        """Of all tables."""
        return self.score_bytes + self.num_tokens * rate("other_bytes")


CASES = [Case(prompts, gpus) for prompts in (32, 512) for gpus in (8, 64)]
"""The paper's round, and one of sixteen times as many prompts."""


def lengths(number: int) -> list[float]:
    """Of all lengths up to the longest alike, well mixed."""
    return [LONGEST * ((index + 1) * GOLDEN % 1) for index in range(number)]


def decoding_seconds(replies: list[float], slots: int) -> float:
    """An engine that samples replies of these lengths, `slots` at once: each step reads the weights, and all keys."""
    shape, waiting = models().student, iter(replies)
    weights, key = (
        BFLOAT16 * (shape.num_params - shape.vocab * shape.hidden),
        cache_bytes(shape, BFLOAT16, num_tokens=1),
    )
    active = [(length, length) for length in islice(waiting, slots)]
    heapify(active)
    step, tokens, moved = 0.0, float(PROMPT * len(active)), 0.0
    while active:
        end, length = heappop(active)
        num, steps = len(active) + 1, end - step
        moved += steps * weights + key * (steps * tokens + num * steps**2 / 2)
        step, tokens = end, tokens + num * steps - PROMPT - length
        for new in islice(waiting, 1):
            heappush(active, (step + new, new))
            tokens += PROMPT
    return moved / (rate("decoding") * rate("bandwidth"))


def forward_flops(prefix: float, sharing: float) -> float:
    """Of reading a reply behind a prefix that so many replies share: its mean over all lengths."""
    shape, length = models().student, LONGEST / 2
    tokens = length + prefix / sharing
    seen = prefix * length + LONGEST**2 / 6 + prefix**2 / 2 / sharing
    linear = 2 * shape.num_linear * tokens + 2 * shape.hidden * shape.vocab * length
    return linear + 4 * shape.num_layers * shape.query_width * seen


def bus(num_gpus: int) -> float:
    """Bytes a second that a rank of a ring gets: NVLink within a host, between hosts all its network cards."""
    within = rate("nvlink")
    return rate("links") * (within if num_gpus <= GPUS_A_HOST else min(within, GPUS_A_HOST * rate("infiniband")))


def ring_bytes(num_gpus: int) -> float:
    """Of all weights in float32, what each rank gets of the others."""
    return FLOAT32 * models().student.num_params * (num_gpus - 1) / num_gpus


def slots(case: Case) -> int:
    """Sequences that an engine decodes at once: as many as are asked for, or as their keys and values have room."""
    parts = stage_memory(case.settings, models(), case.device)["generate"]
    room = UTILIZATION * case.device.capacity - (sum(parts.values()) - parts["keys and values"])
    key = cache_bytes(models().student, BFLOAT16, num_tokens=1)
    return min(case.settings.generate.max_num_seqs, int(room / (key * (PROMPT + LONGEST / 3))))


def generating_seconds(case: Case) -> float:
    """Shard after shard: the next begins when the longest reply of this one has ended."""
    replies = lengths(case.num_rollouts // case.num_shards)
    prompts = case.num_prompts / case.engines * PROMPT * 2 * models().student.num_params
    shards = -(-case.num_shards // case.engines)
    return shards * decoding_seconds(replies, slots(case)) + prompts / (rate("mfu") * rate("peak"))


def micro_batches(case: Case) -> int:
    """That a rank reads in one update."""
    train = case.settings.train
    tokens = case.num_tokens / train.updates_per_round + PROMPT * case.num_prompts / train.updates_per_round
    return ceil(ceil(tokens / train.max_tokens_per_pass) / train.ranks)


def training_seconds(case: Case) -> float:
    """Passes of the rank that has most of them."""
    train, tokens = case.settings.train, LONGEST / 2 + PROMPT / SAMPLES
    passes = 4 if checkpoints(case.settings, models().student, case.device) else 3
    flops = passes * forward_flops(PROMPT, SAMPLES) * train.max_tokens_per_pass / tokens
    return train.updates_per_round * micro_batches(case) * flops / (rate("mfu") * rate("peak"))


def seconds(case: Case) -> dict[str, float]:
    """Of each part of a round, one after the other."""
    hosts, ranks, updates = case.num_hosts, case.num_gpus, case.settings.train.updates_per_round
    far = 1 / rate("store") if hosts > 1 else 0.0
    compute, pcie = rate("mfu") * rate("peak"), rate("links") * rate("pcie")
    weights = FLOAT32 * models().student.num_params
    numbers = 4 * case.settings.score.top_k
    reading = forward_flops(PROMPT, SAMPLES) + forward_flops(rate("context_tokens"), rate("context_sharing"))
    files = TABLES_OF_TRAINING * case.num_shards * 2
    return {
        "policy to each host, and its sha256": case.policy * (far + 1 / rate("sha256")),
        "engines start": rate("engine") + case.policy / rate("loading"),
        GENERATE: generating_seconds(case),
        "verify, of the last shard": case.num_rollouts / case.num_shards / (rate("programs") * rate("cores")),
        "condition, a process a host": case.num_rollouts / hosts / rate("contexts"),
        "scorers start": rate("process") + (case.policy + case.teacher) / rate("loading") + case.teacher * far,
        SCORE: case.num_rollouts * reading / case.engines / compute,
        "scores are written": case.num_tokens * (3 * numbers + 12) / case.engines / rate("writing"),
        "ranks start": rate("process") + case.policy / rate("loading") + case.optimizer * far,
        "each rank reads all scores": case.num_tokens * 2 * numbers / rate("reading")
        + (case.score_bytes * far + files * rate("latency") if hosts > 1 else 0.0),
        TRAIN: training_seconds(case),
        "weights and gradients between ranks": updates * micro_batches(case) * 3 * ring_bytes(ranks) / bus(ranks),
        "teacher follows, on rank 0's host": updates * 2 * weights / pcie,
        "rank 0 saves: sha256, then the store": case.saved * (1 / rate("sha256") + 1 / rate("store")),
    }


def overlapped(case: Case) -> float:
    """Seconds of a round if the next one's replies were sampled meanwhile, on the best share of the GPUs.

    What GPUs compute takes longer on fewer of them, in proportion; the rest takes as long as it does.
    """
    parts = seconds(case)
    names = list(parts)
    sampling, later = names[: names.index(GENERATE) + 1], names[names.index(GENERATE) + 1 :]

    def side(those: list[str], share: float) -> float:
        return sum(parts[name] / (share if name in BUSY else 1) for name in those)

    shares = (number / case.num_gpus for number in range(1, case.num_gpus))
    return min(max(side(sampling, share), side(later, 1 - share)) for share in shares)
