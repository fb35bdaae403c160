"""What a model takes in memory, by arithmetic on its shape: weights, activations, logits, keys and values.

No weights are needed: a config gives the shape, and tensors without data (`torch.device("meta")`) the exact number of
parameters. What autograd keeps of a decoder layer is counted as transformers' Llama, Qwen and their kin compute it.

Bytes everywhere. Widths are bytes a number: 4 for float32, 2 for bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mopd.errors import InputError

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings import Settings
    from mopd.settings.lora import LoraSettings

FLOAT32, BFLOAT16 = 4, 2
NORMS = 2
"""Of a decoder layer, over the hidden size."""
DENSE_TOKENS = 4096
"""Longest tree that is attended to by a dense mask (`mopd.reading.attention`)."""
BLOCK_BYTES = 6 * (FLOAT32 << 22)
"""Of a block of logits that something is made of, with its temporaries (`mopd.reading.head`)."""
SUPPORT_NUMBERS = 24
"""Float32 numbers that exist for each support id of a position in a micro-batch: ids, gathers, the divergence's."""


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a decoder-only language model."""

    num_params: int
    """All parameters, tied ones once."""
    num_linear: int
    """Those of linear layers, the output layer's left out."""
    num_layers: int
    hidden: int
    query_width: int
    """Heads times the size of a head."""
    key_width: int
    """Key-value heads times the size of a head: of the keys, and again of the values."""
    mlp_width: int
    """Inner size of the feed-forward layer, of all experts that a token is sent to."""
    vocab: int
    num_key_heads: int
    """Key-value heads."""
    tied: bool
    """Whether the output layer is the embedding."""
    norms_queries: bool = False
    """Whether queries and keys are normalized (Qwen3, Gemma3)."""
    num_adapter: int = 0
    """Parameters of the adapter that is trained in place of the rest; 0: all are trained."""

    @property
    def num_trained(self) -> int:
        return self.num_adapter or self.num_params

    @property
    def num_narrow(self) -> int:
        """Those that may be kept in bfloat16: of linear layers, an output layer included that is no embedding."""
        return self.num_linear + (0 if self.tied else self.vocab * self.hidden)


class Widths(NamedTuple):
    """Bytes of a number: of embeddings and norms, and of what linear layers compute in."""

    weights: int
    compute: int

    @property
    def residual(self) -> int:
        """Of the stream between layers: what is added to float32 is float32."""
        return max(self.weights, self.compute)


def read_shape(folder: str | Path, lora: LoraSettings | None = None) -> ModelShape:
    """The shape of the model of a folder, of which config.json alone is read, with an adapter if one is trained.

    Raises InputError for a config that transformers can't make a model of, and as `mopd.models.lora.target_names`.
    """
    return shape_of(empty_model(folder), lora)


def empty_model(folder: str | Path) -> Any:
    """The model of a folder without its weights: tensors that have a shape and no data. Raises InputError."""
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder}: no model can be made of its config.json ({reason})") from error


def shape_of(model: Any, lora: LoraSettings | None = None) -> ModelShape:
    """The shape of a model that transformers made; its tensors need no data."""
    from mopd.models.lora import linear_layers

    config = model.config.get_text_config()
    modules = dict(model.named_modules())
    names = linear_layers(model)
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    return ModelShape(
        num_params=sum(parameter.numel() for parameter in model.parameters()),
        num_linear=sum(parameter.numel() for name in names for parameter in modules[name].parameters()),
        num_layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        query_width=heads * head_size,
        key_width=key_heads * head_size,
        num_key_heads=key_heads,
        mlp_width=_mlp_width(config),
        vocab=model.get_output_embeddings().weight.shape[0],
        tied=model.get_output_embeddings().weight is model.get_input_embeddings().weight,
        norms_queries=any(name.endswith("q_norm") for name in modules),
        num_adapter=_adapter_params(model, names, modules, lora) if lora is not None else 0,
    )


def _mlp_width(config: Any) -> int:
    experts = getattr(config, "num_experts_per_tok", None)
    if experts:
        return int(experts * (getattr(config, "moe_intermediate_size", None) or config.intermediate_size))
    return int(getattr(config, "intermediate_size", None) or 4 * config.hidden_size)


def _adapter_params(model: Any, names: list[str], modules: dict[str, Any], lora: LoraSettings) -> int:
    """Rank times inputs and outputs of each layer that gets an adapter."""
    from mopd.models.lora import target_names

    ends = tuple(f".{name}" for name in target_names(model, lora))
    layers = [modules[name].weight for name in names if f".{name}".endswith(ends)]
    return sum(lora.rank * sum(weight.shape) for weight in layers)


def longest_pass(settings: Settings) -> int:
    """Tokens of the largest micro-batch that the settings allow: a rollout that is longer has one of its own."""
    generate = settings.generate
    return max(settings.train.max_tokens_per_pass, generate.max_prompt_tokens + generate.max_tokens - 1)


def activation_bytes(
    shape: ModelShape, widths: Widths, *, num_tokens: int, checkpointing: bool, mask_length: int = 0
) -> int:
    """What a forward pass over `num_tokens` leaves for backward, head excluded; its largest moment in backward.

    With gradient checkpointing each layer leaves its input alone, and one layer at a time is computed again.
    `mask_length`: the longest tree of several rollouts, 0 where attention is plainly causal.
    """
    masks = num_tokens * _masked(mask_length)
    layer = num_tokens * layer_bytes(shape, widths, repeated=mask_length > 0) + widths.compute * masks
    ends = num_tokens * shape.hidden * (2 * FLOAT32 + 2 * widths.residual) + masks
    if not checkpointing:
        return shape.num_layers * layer + ends
    return shape.num_layers * num_tokens * shape.hidden * widths.residual + layer + ends


def _masked(length: int) -> int:
    """Columns of a tree's mask; longer trees have none that is dense."""
    return min(length, DENSE_TOKENS)


def layer_bytes(shape: ModelShape, widths: Widths, *, repeated: bool = False) -> int:
    """What autograd keeps of one decoder layer, a token.

    `repeated`: keys and values are written out for every head, as attention under a mask does.
    """
    compute, keys = widths.compute, shape.query_width if repeated else shape.key_width
    attention = compute * (2 * shape.query_width + 2 * keys)
    if shape.norms_queries:
        attention += (FLOAT32 + compute) * (shape.query_width + shape.key_width)
    return _norm_bytes(shape, widths) + attention + compute * 4 * shape.mlp_width


def _norm_bytes(shape: ModelShape, widths: Widths) -> int:
    """Of the norms of a layer, with the inputs of the linear layers behind them.

    A norm keeps its input in float32, what it normalized to (unless its weight is frozen) and its result; autocast
    keeps a copy of the result for each of the three and the two layers that read it.
    """
    trained = 0 if shape.num_adapter else widths.residual
    copies = 3 + 2 if widths.compute < widths.weights else NORMS
    return shape.hidden * (NORMS * (FLOAT32 + trained) + copies * widths.compute)


def reading_bytes(shape: ModelShape, widths: Widths, *, num_tokens: int, mask_length: int = 0, shares: int = 1) -> int:
    """The largest moment of a forward pass without gradient: the feed-forward layer, beside the stream.

    Under a mask, attention's mask in bool and in float32 as well. `shares`: devices among which what a layer makes
    inside is divided; each has the stream.
    """
    stream = 3 * shape.hidden * widths.residual
    attention = (3 * shape.query_width + 2 * shape.key_width) * FLOAT32
    inside = max(3 * shape.mlp_width * widths.compute, attention) // shares
    return num_tokens * (stream + inside) + 5 * num_tokens * _masked(mask_length)


def weight_bytes(shape: ModelShape, linear: int) -> int:
    """The weights, without an adapter: `linear` bytes a number of linear layers, the others in float32."""
    return linear * shape.num_narrow + FLOAT32 * (shape.num_params - shape.num_narrow)


def trained_bytes(shape: ModelShape) -> int:
    """What is trained, in float32, as its gradients and moments are."""
    return FLOAT32 * shape.num_trained


def autocast_bytes(shape: ModelShape, widths: Widths, linear: int = FLOAT32) -> int:
    """Copies of weights in the precision that they are used in, where they are not kept in it."""
    if widths.compute >= widths.weights:
        return 0
    kept = shape.num_narrow if linear == widths.compute else 0
    return widths.compute * (shape.num_linear + shape.vocab * shape.hidden - kept)


def logits_bytes(shape: ModelShape, widths: Widths, *, num_positions: int, gradient: bool) -> int:
    """Full-vocabulary logits of a chunk of positions; with a gradient, that of the output layer's weight too."""
    head = shape.vocab * shape.hidden * (FLOAT32 if gradient and not shape.num_adapter else 0)
    chunk = num_positions * shape.vocab
    return widths.compute * chunk + min(BLOCK_BYTES, 6 * FLOAT32 * chunk) + head


def support_bytes(num_positions: int, top_k: int) -> int:
    """What a micro-batch has for each support id of its positions: ids, both models' log-probabilities, the loss."""
    return SUPPORT_NUMBERS * FLOAT32 * num_positions * top_k


def cache_bytes(shape: ModelShape, width: int, *, num_tokens: int) -> int:
    """Keys and values of so many tokens."""
    return 2 * shape.num_layers * shape.key_width * width * num_tokens
