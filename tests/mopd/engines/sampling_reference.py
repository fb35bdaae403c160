"""What engines should sample from, in float64 and in another way: a dictionary of what is kept, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mopd.engines import Request, Sample, Sampling, make_engine
from mopd.models.folders import load_tokenizer, resolve_model
from mopd.settings import Settings, parse_settings

CASES: dict[str, dict[str, Any]] = {
    "temperature": {},
    "top_p": {"top_p": 0.7},
    "top_k": {"top_k": 5},
    "min_p": {"min_p": 0.3},
    "repetition_penalty": {"repetition_penalty": 1.7},
    "presence_penalty": {"presence_penalty": 1.5},
    "all": {"top_p": 0.8, "top_k": 12, "min_p": 0.05, "repetition_penalty": 1.3, "presence_penalty": -0.5},
}
"""Settings of `generate`, each by itself and all together."""


def write_model(folder: Path, *, seed: int = 0, tied: bool = False) -> Path:
    """A random Llama of one token a byte, its heads of a size that vLLM has kernels for, its logits far apart."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = load_tokenizer(resolve_model("tiny:llama"))
    torch.manual_seed(seed)
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=256,
        initializer_range=0.3,
        tie_word_embeddings=tied,
        **sizes,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def settings_of(engine: str, case: dict[str, Any], **generate: Any) -> Settings:
    sizes = {"max_tokens": 12, "max_prompt_tokens": 64, "max_num_seqs": 8}
    return parse_settings(
        {
            "model": {"path": "tiny:llama", "precision": "float32"},
            "generate": {"engine": engine, "temperature": 0.8, **sizes, **case, **generate},
        }
    )


def sample_all(folder: Path, chosen: Settings, cases: list[Sampling], prompt: tuple[int, ...]) -> list[list[Sample]]:
    """Eight rollouts of the prompt under each sampling, by one engine; in a process of its own for vLLM."""
    engine = make_engine(chosen.generate, chosen.model, folder)
    return [engine.generate([Request(prompt, seed, sampling) for seed in range(8)]) for sampling in cases]


def probabilities(
    logits: Sequence[float], prompt: Sequence[int], reply: Sequence[int], sampling: Sampling
) -> dict[int, float]:
    """What can be drawn after prompt and reply, and how likely it is."""
    scores = {token: float(logit) for token, logit in enumerate(logits)}
    for token in {*prompt, *reply}:
        divisor = sampling.repetition_penalty if scores[token] > 0 else 1 / sampling.repetition_penalty
        scores[token] /= divisor
    for token in set(reply):
        scores[token] -= sampling.presence_penalty
    largest = max(scores.values())
    kept = {token: np.exp((score - largest) / sampling.temperature) for token, score in scores.items()}
    kept = {token: weight for token, weight in kept.items() if weight >= sampling.min_p}
    ranked = sorted(kept, key=lambda token: -kept[token])[: sampling.top_k or None]
    total, before, nucleus = sum(kept[token] for token in ranked), 0.0, {}
    for token in ranked:
        if before < sampling.top_p:
            nucleus[token] = kept[token]
        before += kept[token] / total
    return {token: weight / sum(nucleus.values()) for token, weight in nucleus.items()}
