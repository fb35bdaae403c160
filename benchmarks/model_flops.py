"""How close scoring and training come to the rate at which this machine multiplies the model's own matrices.

    python benchmarks/model_flops.py --shape demo --out benchmarks/results/model_flops.json
    python benchmarks/model_flops.py --shape long --ways now dense --profile

One process, the embedded model, rollouts of random tokens. In each turn the linear layers alone are multiplied with as
many tokens as a pass has (the rate that the shares are of), then a shard is scored by student and by teacher, and an
update is trained; with several `--ways` these take turns. Medians of the turns, with the smallest and the largest.
CPU seconds are all threads' together: they say the same as the clock's, over the number of threads, but hardly change
where others work on the same cores. So that they do, threads that wait don't spin.
FLOPs are those that the method needs: a prefix that rollouts share once, the output layer at predicted tokens alone,
attention to what a token sees, backward twice forward; what is padded, masked or computed again is not counted.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # read when torch is loaded

import numpy as np
import torch
from gpu_training import forward_flops
from results_file import add_result
from torch.nn.functional import linear

from mopd.memory.freed import MMAP_MAX, TRIM_THRESHOLD, keep_freed_memory
from mopd.models.folders import resolve_model
from mopd.models.teachers import load_teacher
from mopd.objectives import objective_class
from mopd.objectives.base import Update
from mopd.optimizers.schedule import learning_rate
from mopd.reading import attention
from mopd.score import Scorer
from mopd.settings import load_settings
from mopd.train import _move
from mopd.trainer.gradients import accumulate_gradients, clip_gradients
from mopd.trainer.state import TrainerState, open_state, save_state

Rows = list[dict[str, Any]]
DEVICE = torch.device("cpu")
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "demo.yaml"


class Shape(NamedTuple):
    """Sizes of a shard."""

    prompts: int
    samples: int
    prompt_tokens: int
    context_tokens: int
    """What the teacher reads before a rollout; half of a group shares a context."""
    tokens: tuple[int, int]
    """Of a rollout, at least and at most."""
    max_tokens: int
    """Of a pass."""


SHAPES = {
    "group": Shape(1, 8, 55, 230, (10, 20), 1024),
    "demo": Shape(3, 8, 55, 230, (10, 20), 1024),
    "demo64": Shape(3, 8, 55, 250, (40, 64), 1024),
    "long": Shape(1, 8, 64, 700, (512, 512), 4096),
}


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def returned_memory() -> Iterator[None]:
    """Freed memory goes back to the system as glibc does it, once large blocks were freed."""
    libc = ctypes.CDLL(None)
    libc.mallopt(MMAP_MAX, 65_536)
    libc.mallopt(TRIM_THRESHOLD, 64 << 20)
    try:
        yield
    finally:
        keep_freed_memory()


WAYS: dict[str, Callable[[], Any]] = {
    "now": nullcontext,
    "returned": returned_memory,
    "dense": lambda: patched(attention, "CPU_DENSE_TOKENS", attention.DENSE_TOKENS),
    "branches": lambda: patched(attention, "CPU_DENSE_TOKENS", 0),
}
"""How it is done, and otherwise: freed memory goes back to the system; trees of up to 4,096 tokens are attended to by
masks; none is, which
would round what short ones are scored in another way."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="demo")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["now"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print what an update's and a shard's time is spent on")
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mopd-model-flops-") as folder:
        bench = Bench(SHAPES[options.shape], Path(folder))
        seconds = bench.take_turns(options)
        if options.profile:
            bench.profile()
    alone = [median_of(seconds[way]["matmuls"]) for way in options.ways]
    fastest = Took(*(min(values) for values in zip(*alone, strict=True)))
    results = [row for way in options.ways for row in bench.table(way, seconds[way], fastest)]
    for row in results:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        said = {"shape": options.shape, **SHAPES[options.shape]._asdict(), "torch": torch.__version__}
        add_result(options.out, results, **said)


class Bench:
    """Models, a shard and its work."""

    def __init__(self, shape: Shape, folder: Path) -> None:
        keep_freed_memory()  # as training does
        self.settings = load_settings(
            str(EXAMPLE),
            [f"score.max_tokens_per_pass={shape.max_tokens}", f"train.max_tokens_per_pass={shape.max_tokens}"],
        )
        self.model, self.out = resolve_model(self.settings.model.path), folder / "state"
        self.scorer = Scorer(self.settings, policy_folder=self.model)
        self.teacher = load_teacher(self.scorer.sources, self.scorer.models.get, num_ids=self.scorer.num_ids)
        self.rollouts, verdicts, contexts = make_shard(shape, self.scorer.num_ids)
        self.reads = self.scorer._branches(self.rollouts, contexts)
        self.scores = self.scorer.score(self.rollouts, verdicts, contexts, policy_version=0)
        done = {"finish_reason": "stop"}
        self.rows = [row | done | {"behavior_logprobs": row["proximal_logprobs"]} for row in self.scores]
        self.state = self._open_state()
        flops = [
            forward_flops(config_of(self.scorer.student), rows, column)
            for rows, column in ((self.rollouts, "prompt_token_ids"), (contexts, "context_token_ids"))
        ]
        self.flops = {"student": flops[0], "teacher": flops[1], "scoring": sum(flops), "gradients": 3 * flops[0]}
        self.flops["update"] = self.flops["gradients"]
        self.pass_tokens = shape.max_tokens

    def _open_state(self) -> TrainerState:
        choice = self.settings.train
        precision = self.settings.model.precision
        return open_state(self.model, None, choice, DEVICE, base_folder=self.model, precision=precision, out=self.out)

    def take_turns(self, options: argparse.Namespace) -> dict[str, dict[str, list[Took]]]:
        """Seconds of each part, by way; the first turn warms up."""
        seconds: dict[str, dict[str, list[Took]]] = {way: defaultdict(list) for way in options.ways}
        for turn in range(options.turns + 1):
            for way in options.ways:
                with WAYS[way]():
                    parts = self.matmuls() | self.score() | ({} if options.no_training else self.train())
                for name, value in parts.items() if turn else ():
                    seconds[way][name].append(value)
        return seconds

    @torch.no_grad()
    def matmuls(self) -> dict[str, Took]:
        """Every linear layer alone, all of its weights from memory; `matmul_flops` counts them."""
        student, dtype = self.scorer.student, next(self.scorer.student.model.layers[0].mlp.parameters()).dtype
        layers = [module.weight for module in student.model.modules() if isinstance(module, torch.nn.Linear)]
        inputs = {size: torch.randn(self.pass_tokens, size).to(dtype) for size in {w.shape[1] for w in layers}}
        self.flops["matmuls"] = sum(2 * self.pass_tokens * weight.numel() for weight in layers)

        def multiply() -> None:
            for weight in layers:
                linear(inputs[weight.shape[1]], weight)

        return {"matmuls": took(multiply)}

    def score(self) -> dict[str, Took]:
        """Both models read the shard."""
        found: list[Any] = []
        student, teacher = self.reads
        temperature, top_k = float(self.rollouts[0]["temperature"]), self.settings.score.top_k
        read = self.scorer._read

        def read_teacher() -> None:
            read(self.teacher, teacher, temperature, support_ids=found[0].support_ids)

        by_student = took(lambda: found.append(read(self.scorer.student, student, temperature, top_k=top_k)))
        by_teacher = took(read_teacher)
        return {"student": by_student, "teacher": by_teacher, "scoring": by_student + by_teacher}

    def train(self) -> dict[str, Took]:
        """One update on the whole shard, as `take_step` does it, and saving."""
        state, settings = self.state, self.settings
        rate = learning_rate(settings.train, step=0, update=0, num_updates=1)
        objective = objective_class(settings.train)(Update(self.rows, settings.train))
        gradients = took(lambda: accumulate_gradients(state.student, objective, settings, DEVICE, number=0))
        clipping = took(lambda: clip_gradients(list(state.weights.values()), settings.train.max_grad_norm))
        moving = took(lambda: _move(state, settings.train, rate))
        state.optimizer.zero_grad(set_to_none=True)
        saving = took(lambda: save_state(state, self.model, self.out))
        parts = {"gradients": gradients, "clipping": clipping, "optimizer and EMA": moving}
        return {**parts, "update": gradients + clipping + moving, "save": saving}

    def table(self, way: str, seconds: dict[str, list[Took]], alone: Took) -> Rows:
        """A row a part: medians, and its share of the rate of the linear layers `alone`, by either clock."""
        rows = []
        for part, values in seconds.items():
            row: dict[str, Any] = {"way": way, "part": part}
            median, flops = median_of(values), self.flops.get(part)
            for clock in Took._fields:
                numbers = [getattr(value, clock) for value in values]
                row[clock] = round(getattr(median, clock), 3)
                row[f"{clock}_from_to"] = [round(min(numbers), 3), round(max(numbers), 3)]
                if flops is not None:
                    rate = self.flops["matmuls"] / getattr(alone, clock)
                    row[f"share_of_matmuls_by_{clock}"] = round(flops / getattr(median, clock) / rate, 3)
            rows.append(row | ({} if flops is None else {"gflop": round(flops / 1e9)}))
        return rows

    def profile(self) -> None:
        """The dearest operations of a shard and of an update."""
        for work in (self.score, self.train):
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                work()
            print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=50))


class Took(NamedTuple):
    """How long some work took."""

    seconds: float
    cpu_seconds: float

    def __add__(self, other: Took) -> Took:  # type: ignore[override]
        return Took(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


def took(work: Callable[[], Any]) -> Took:
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - began, time.process_time() - cpu)


def median_of(values: list[Took]) -> Took:
    return Took(*(statistics.median(numbers) for numbers in zip(*values, strict=True)))


def config_of(model: Any) -> dict[str, Any]:
    """Sizes as `forward_flops` names them."""
    config = model.config
    names = ("num_attention_heads", "num_key_value_heads", "hidden_size", "num_hidden_layers", "intermediate_size")
    sizes = {name: getattr(config, name) for name in (*names, "vocab_size")}
    return {**sizes, "head_dim": config.hidden_size // config.num_attention_heads}


def make_shard(shape: Shape, num_ids: int) -> tuple[Rows, Rows, Rows]:
    """Rollouts, verdicts and contexts of random tokens."""
    rng = np.random.default_rng(0)
    rollouts, verdicts, contexts = [], [], []
    for prompt in range(shape.prompts):
        prompt_ids = rng.integers(3, num_ids, shape.prompt_tokens)
        shown = [rng.integers(3, num_ids, shape.context_tokens) for _ in range(2)]
        for sample in range(shape.samples):
            key = {"run": "r", "round": 0, "prompt_id": f"p{prompt}", "sample": sample}
            ids = rng.integers(3, num_ids, int(rng.integers(shape.tokens[0], shape.tokens[1] + 1)))
            sampled = {"token_ids": ids, "behavior_logprobs": np.full(len(ids), -11.0, np.float32), "temperature": 0.8}
            rollouts.append(key | {"prompt_token_ids": prompt_ids} | sampled)
            verdicts.append(key | {"reward": float(sample % 2)})
            said = {"has_sections": True, "variant": "contrastive", "context_digest": ""}
            contexts.append(key | said | {"context_token_ids": shown[sample % 2], "token_ids": ids})
    return rollouts, verdicts, contexts


if __name__ == "__main__":
    main()
