"""LoRA by peft: the weights of the initial policy stay frozen, low-rank updates beside its linear layers are trained.

Adapters are put into the model itself, so it is read like any other. A policy folder holds the merged weights, which
everything opens, and beside them

FOLDER/adapter/         the adapter in peft's format, with which training goes on and from which vLLM samples
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mopd.errors import InputError
from mopd.models.folders import ADAPTER, ADAPTER_CONFIG, load_model
from mopd.seeds import derive_seed

if TYPE_CHECKING:  # training runs where pydantic is not installed; peft is imported where there is an adapter
    from peft import LoraConfig

    from mopd.settings.lora import LoraSettings

WEIGHTS = "adapter_model.safetensors"
NAME = "default"
"""peft's name of the adapter inside the model; its files leave it out."""
PEFT_PREFIX = "base_model.model."
SAME = {"r": "rank", "lora_alpha": "alpha", "target_modules": "target_modules"}
"""What of an adapter's config can't change between rounds, and the setting that it comes from."""


def has_adapter(folder: Path) -> bool:
    """Whether a policy (or teacher) folder holds an adapter."""
    return (folder / ADAPTER / ADAPTER_CONFIG).is_file()


def adapter_rank(folder: Path) -> int:
    """The rank of a policy folder's adapter."""
    return int(_saved_config(folder)["r"])


def load_student(
    policy_folder: Path,
    base_folder: Path,
    lora: LoraSettings | None,
    *,
    device: torch.device,
    seed: int,
) -> Any:
    """The model to train: a policy as it is, or (lora) the base with the policy's adapter on it, the base frozen.

    Where the policy is the base itself, the adapter is a new one that changes nothing yet.
    Raises InputError for target modules that the model lacks, and for an adapter made by other settings.
    """
    if lora is None:
        return load_model(policy_folder, device)
    student = load_model(base_folder, device)
    add_adapter(student, lora, seed=seed)
    if policy_folder != base_folder:
        load_adapter(student, policy_folder)
    return student


def add_adapter(model: Any, lora: LoraSettings, *, seed: int) -> None:
    """Put a new adapter into `model` and freeze the rest. B starts at zero: the model computes what it did before."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=target_names(model, lora),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):  # peft draws on the CPU, wherever the model lies
        torch.manual_seed(derive_seed("lora", seed))
        inject_adapter_in_model(config, model, NAME)


def target_names(model: Any, lora: LoraSettings) -> list[str]:
    """The names that `lora.target_modules` stands for. Raises InputError for one that no linear layer has."""
    layers = linear_layers(model)
    last = sorted({name.rpartition(".")[2] for name in layers})
    if isinstance(lora.target_modules, str):
        return last
    for wanted in lora.target_modules:
        if not any(f".{name}".endswith(f".{wanted}") for name in layers):
            raise InputError(
                f"train.lora.target_modules: no linear layer of the model is named {wanted!r}; it has {', '.join(last)}"
            )
    return sorted(lora.target_modules)


def check_targets(folder: Path, lora: LoraSettings) -> list[str]:
    """As `target_names`, from a model folder's config alone."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(folder), local_files_only=True))
    return target_names(model, lora)


def check_adapter(folder: Path, lora: LoraSettings) -> None:
    """Whether training can go on with the adapter of a policy folder, if it has one. InputError where it can't."""
    if has_adapter(folder):
        _check_same(folder, {"r": lora.rank, "lora_alpha": lora.alpha, "target_modules": check_targets(folder, lora)})


def linear_layers(model: Any) -> list[str]:
    """Dotted names of the layers that may get an adapter: all linear ones but the output layer."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    kinds = (torch.nn.Linear, Conv1D)
    return [name for name, module in model.named_modules() if isinstance(module, kinds) and module is not head]


def trained_parameters(model: Any) -> dict[str, Tensor]:
    """Trained parameters by name; tied weights appear once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def adapter_weights(model: Any) -> dict[str, Tensor]:
    """An adapter's parameters under the names of peft's files."""
    return {
        PEFT_PREFIX + name.replace(f".{NAME}.", "."): parameter
        for name, parameter in model.named_parameters()
        if ".lora_" in name
    }


@torch.no_grad()
def load_adapter(model: Any, folder: Path) -> None:
    """Copy the adapter of a policy folder into the model's own. InputError where it was made by other settings."""
    _check_same(folder, _config_dict(model.peft_config[NAME]))
    saved = load_file(folder / ADAPTER / WEIGHTS)
    weights = adapter_weights(model)
    if saved.keys() != weights.keys():
        raise InputError(f"{folder / ADAPTER}: is the adapter of another model; restore the folder")
    for name, parameter in weights.items():
        parameter.copy_(saved[name])


def save_model(model: Any, folder: Path) -> None:
    """Write a model in Hugging Face format; one with an adapter merged, and the adapter beside it."""
    if not hasattr(model, "peft_config"):
        model.save_pretrained(folder)
        return
    merged(model).save_pretrained(folder)
    (folder / ADAPTER).mkdir()
    weights = {name: parameter.detach().contiguous() for name, parameter in adapter_weights(model).items()}
    save_file(weights, folder / ADAPTER / WEIGHTS, metadata={"format": "pt"})
    config = _config_dict(model.peft_config[NAME]) | {"inference_mode": True}
    (folder / ADAPTER / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True))


def merged(model: Any) -> Any:
    """A plain model again: a copy with the adapter added into the weights. Tensors it leaves alone are shared."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    shared = {id(value): value for name, value in model.named_parameters() if ".base_layer." not in name}
    plain = copy.deepcopy(model, shared)
    for name, module in list(plain.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            plain.set_submodule(name, module.get_base_layer())
    del plain.peft_config
    return plain


def copy_sharing_frozen(model: Any) -> Any:
    """A copy in evaluation mode; parameters that are not trained are the same tensors."""
    frozen = {id(value): value for value in model.parameters() if not value.requires_grad}
    return copy.deepcopy(model, frozen).eval()


def _check_same(folder: Path, config: dict[str, Any]) -> None:
    saved = _saved_config(folder)
    for name, setting in SAME.items():
        if saved[name] != config[name]:
            raise InputError(
                f"train.lora.{setting}: is {_show(config[name])}, but training goes on with {folder / ADAPTER}, made "
                f"with {_show(saved[name])}; keep that, or begin a run from the policy as model.path"
            )


def _show(value: int | list[str]) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)


def _saved_config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / ADAPTER / ADAPTER_CONFIG).read_text())
    return config


def _config_dict(config: LoraConfig) -> dict[str, Any]:
    """As JSON has it; sets sorted, so that equal adapters are equal files."""
    return {name: sorted(value) if isinstance(value, set) else value for name, value in config.to_dict().items()}
