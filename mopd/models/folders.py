"""Model folders: where weights come from, what they hash to, how they are loaded.

A model is always a folder in Hugging Face format. Some names stand for folders that are made once, in a cache:
`embedded:…` (weights from Python packages) and `tiny:llama` (random weights, for tests); names of
the hub, `org/name@revision`, for folders that are loaded once.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from mopd.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WEIGHT_PATTERNS = ("*.safetensors", "pytorch_model*.bin")
INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
DIGESTED = (
    *("config.json", "generation_config.json", "chat_template*", "tokenizer*", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.*", "merges.txt", "*.index.json", *WEIGHT_PATTERNS),
)
ADAPTER, ADAPTER_CONFIG = "adapter", "adapter_config.json"
"""Where a policy that was trained by LoRA has its adapter beside the merged weights, see `mopd.models.lora`."""
FAST_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def resolve_model(path: str | Path, setting: str = "model.path") -> Path:
    """The folder of a model; the names `embedded:…` and `tiny:…` are made in the cache on first use.

    A name of the hub at a commit whose files are in the cache needs no network; any other is loaded.
    Raises InputError, naming the setting, when the name is unknown, or when the folder lacks a config, weights or a
    tokenizer, or needs code of its own.
    """
    from mopd.hub.names import model_name
    from mopd.models.embedded import BUILDERS, cached_model
    from mopd.models.formats import check_code
    from mopd.models.hub import hub_folder

    name = str(path)
    if name in BUILDERS:
        return cached_model(name)
    if name.startswith(("embedded:", "tiny:")):
        choices = " or ".join(sorted(BUILDERS))
        raise InputError(f"{setting}: {name!r} is unknown; choose a folder, a name of the hub (org/name), {choices}")
    repository = model_name(path)
    folder = Path(path).expanduser() if repository is None else hub_folder(repository, setting)
    _require_model_files(folder, setting)
    check_code(folder, f"{setting}: {name}")
    return folder.resolve()


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder. Raises InputError when it can't be read."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: the tokenizer can't be loaded ({_one_line(error)})") from error
    return tokenizer


def vocabulary(folder: str | Path) -> dict[str, int]:
    """Every token of a model folder's tokenizer with its id. Raises InputError when it can't be read."""
    ids_by_token: dict[str, int] = load_tokenizer(folder).get_vocab()
    return ids_by_token


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> PreTrainedModel:
    """The causal language model of a folder on `device`: fp32 weights, evaluation mode.

    Raises InputError when the weights can't be read, or are not all there.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise InputError(f"{folder}: the model can't be loaded ({_one_line(error)})") from error
    if missing := sorted(loaded["missing_keys"]):  # transformers would draw them at random
        raise InputError(
            f"{folder}: lacks {len(missing)} of the weights that its config.json asks for ({missing[0]} for one); "
            "complete the folder, or give the config.json that belongs to its weights"
        )
    model.eval()
    return model.to(device)


def num_output_ids(folder: str | Path) -> int:
    """Token ids that the model gives logits for; its tokenizer may know fewer."""
    config = _text_config(folder)
    if not isinstance(config.get("vocab_size"), int):
        raise InputError(f"{folder}/config.json: no vocab_size; add the number of ids of the model's output layer")
    return int(config["vocab_size"])


def model_window(folder: str | Path) -> int:
    """Longest sequence of the model, prompt and response together, in tokens."""
    config = _text_config(folder)
    for name in ("max_position_embeddings", "n_positions", "n_ctx"):
        if isinstance(config.get(name), int):
            return int(config[name])
    raise InputError(f"{folder}/config.json: no max_position_embeddings; add the model's window in tokens")


def model_digest(folder: str | Path) -> str:
    """sha256 over names and bytes of config, weights and tokenizer files, in order of name (hexadecimal)."""
    folder = Path(folder)
    total = hashlib.sha256()
    for path in sorted({path for pattern in DIGESTED for path in folder.glob(pattern) if path.is_file()}):
        with path.open("rb") as file:
            total.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def autocast_dtype(precision: str, device: str | torch.device) -> torch.dtype | None:
    """Data type of autocast for `auto`, `float32` or `bfloat16`; None means plain fp32.

    `auto` takes bfloat16 only where the hardware multiplies it: emulated on AVX2 it is eight times slower than fp32.
    """
    import torch

    if precision == "float32":
        return None
    if precision == "bfloat16":
        return torch.bfloat16
    if precision != "auto":
        raise InputError(f"model.precision: {precision!r} is unknown; choose auto, float32 or bfloat16")
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported() and not cpu_flags().isdisjoint(FAST_BFLOAT16_FLAGS)
    return torch.bfloat16 if fast else None


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Instruction-set flags of the first processor; empty where the system does not list them."""
    if not cpuinfo.exists():
        return frozenset()
    for line in cpuinfo.read_text().splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(flags.split())
    return frozenset()


def _require_model_files(folder: Path, setting: str) -> None:
    fix = "give a folder in Hugging Face format (config.json, *.safetensors, tokenizer.json)"
    if not folder.is_dir():
        raise InputError(f"{setting}: {folder} is not a folder; {fix}")
    if not (folder / "config.json").is_file():
        raise InputError(f"{setting}: {folder} has no config.json; {fix}")
    if "model_type" not in _read_json(folder / "config.json"):
        raise InputError(f"{setting}: {folder}/config.json names no model_type; {fix}")
    if not any(path for pattern in WEIGHT_PATTERNS for path in folder.glob(pattern)):
        raise InputError(f"{setting}: {folder} has no weights; {fix}")
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise InputError(f"{setting}: {folder} has no tokenizer; {fix}")
    for index in (folder / name for name in INDEX_FILES):
        if index.is_file():
            _require_shards(index, setting)


def _require_shards(index: Path, setting: str) -> None:
    shards = set(_read_json(index).get("weight_map", {}).values())
    missing = sorted(name for name in shards if not (index.parent / name).is_file())
    if missing:
        raise InputError(f"{setting}: {index} names {missing[0]}, which is missing; copy the whole model folder")


def _text_config(folder: str | Path) -> dict[str, Any]:
    config = _read_json(Path(folder) / "config.json")
    text: dict[str, Any] = config.get("text_config", config)
    return text


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({_one_line(error)})") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: must hold a JSON object")
    return document


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
