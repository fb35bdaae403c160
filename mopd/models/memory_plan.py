"""A run's memory beside what its device has: `mopd plan` shows it, and `mopd run` refuses what can't fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mopd.engines.memory import total_memory
from mopd.models.footprint import BFLOAT16, FLOAT32, read_shape
from mopd.models.stage_memory import Device, Models

if TYPE_CHECKING:
    from mopd.settings import Settings


def models_of(settings: Settings) -> Models:
    """The shapes of the run's models, from their configs. Raises InputError."""
    from mopd.models.folders import resolve_model
    from mopd.models.teachers import EXTERNAL_PATH

    student = read_shape(_config_folder(settings.model.path), settings.train.lora)
    teacher = settings.train.teacher
    if teacher.kind != "external":
        return Models(student, student)
    return Models(student, read_shape(resolve_model(teacher.path, EXTERNAL_PATH)))


def _config_folder(path: str) -> Path:
    """The folder with a model's config; one that holds nothing else will do."""
    from mopd.models.folders import resolve_model

    folder = Path(path).expanduser()
    return folder if (folder / "config.json").is_file() else resolve_model(path)


def find_device(settings: Settings) -> Device:
    """What the stages of a run get here: the GPU, or the machine's memory within its control groups."""
    import torch

    from mopd.models.folders import autocast_dtype

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    capacity = torch.cuda.mem_get_info()[1] if kind == "cuda" else total_memory()
    compute = FLOAT32 if autocast_dtype(settings.model.precision, kind) is None else BFLOAT16
    return Device(kind, capacity, compute)
