"""What of a model folder is not opened unless it is asked for: pickled weights, and code of its own."""

from __future__ import annotations

import json
from pathlib import Path

from mopd.errors import InputError

ALLOW_PICKLED = "model.allow_pickled_weights"


def check_weights_format(folder: Path, setting: str, *, allow_pickled: bool) -> None:
    """Raises InputError for a folder whose weights are pickled alone, unless they are allowed, and for safetensors that
    were not copied wholly."""
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not allow_pickled and not files:
        raise refuse_pickled(f"{setting}: {folder}")
    for file in files:
        try:
            with safe_open(file, framework="numpy"):  # reads the header and compares it with the length of the file
                pass
        except SafetensorError as error:
            raise InputError(f"{setting}: {file}: is damaged or not whole ({error}); copy it again") from error


def refuse_pickled(place: str) -> InputError:
    """The error for weights that are pickled."""
    return InputError(
        f"{place}: has its weights in pytorch_model.bin alone, a pickle, which may hold code; choose a copy in "
        f"safetensors, or set {ALLOW_PICKLED} to true (they are read with weights_only)"
    )


def check_code(folder: Path, place: str) -> None:
    """Raises InputError for a model that only code in its own folder can load; such code is never run."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text()) if path.is_file() else {}
    except (OSError, ValueError):
        return  # said when the config is read
    if not isinstance(config, dict) or "auto_map" not in config:
        return
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if config.get("model_type") not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise InputError(
            f"{place}: needs code of its own (auto_map), which mopd does not run, and transformers has no model_type "
            f"{config.get('model_type')!r}; choose a model that transformers knows"
        )
