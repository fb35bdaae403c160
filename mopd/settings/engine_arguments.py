"""Arguments of vLLM's engine that users may give, and those that would break what a run promises."""

from __future__ import annotations

from collections.abc import Iterable

_MODEL = "the policy of the round is what samples, as the trainer reads it"
_LORA = "the policy's adapter decides it (train.lora)"
_ENDS = "the model says which token ends a reply; generate.stop_token_ids adds others"
_DISTRIBUTION = "log-probabilities must be those of the distribution that was sampled from"

REFUSED: dict[str, str] = {
    **dict.fromkeys(("model", "model_weights", "revision", "code_revision", "hf_config_path", "hf_overrides"), _MODEL),
    **dict.fromkeys(("model_class_overrides", "load_format", "config_format", "trust_remote_code"), _MODEL),
    **dict.fromkeys(("tokenizer", "tokenizer_mode", "tokenizer_revision", "skip_tokenizer_init"), _MODEL),
    **dict.fromkeys(("runner", "convert", "tokens_only", "enable_prompt_embeds"), "the engine is asked for text"),
    **dict.fromkeys(("enable_lora", "max_loras", "max_lora_rank", "lora_dtype", "lora_target_modules"), _LORA),
    **dict.fromkeys(("generation_config", "override_generation_config"), _ENDS),
    **dict.fromkeys(("logprobs_mode", "logits_processors", "watermark_config", "diffusion_config"), _DISTRIBUTION),
    **dict.fromkeys(("speculative_config", "spec_method", "spec_model", "spec_tokens"), _DISTRIBUTION),
    "data_parallel_size": "place.replicas and place.devices decide how many engines there are",
    "return_sampling_mask": "nothing reads it",
    "dtype": "model.precision decides it",
    "seed": "every rollout has a seed of its own, which derives from the run's",
    "max_model_len": "generate.max_prompt_tokens and generate.max_tokens decide it",
    "max_num_seqs": "generate.max_num_seqs decides it",
    "enable_chunked_prefill": "a seeded request whose prompt is read in parts crashes vLLM on a CPU",
}
"""Names that are refused, and why."""


def refusals(names: Iterable[str]) -> list[str]:
    """What is wrong with each name that is refused, in words."""
    return [f"{name} is not for you to set: {REFUSED[name]}" for name in names if name in REFUSED]
