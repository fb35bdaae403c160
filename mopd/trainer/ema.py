"""The teacher that follows the student: teacher <- (1 - rate) teacher + rate student after each update.

Between updates nobody reads it, so it need not lie where the student is trained: it is kept on the disk, where the
round saves it anyway, or in the host's memory. Either way its numbers are those of `lerp` on the student's device.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mopd.models.folders import ADAPTER, load_model
from mopd.models.lora import copy_sharing_frozen, has_adapter, load_adapter, save_model, trained_parameters
from mopd.trainer.tensor_file import TensorFile

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings.teacher import EmaTeacher

Pieces = Iterable[tuple[str, int, Tensor]]
"""A student's trained weights: name, place of the first number, flat float32 numbers on the student's device."""


class ModelTeacher:
    """A model in memory; its adapter alone is its own, where the student has one."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @torch.no_grad()
    def follow(self, student: Pieces, rate: float) -> None:
        """Come closer to the student."""
        weights = trained_parameters(self.model)
        for name, start, values in student:
            average = weights[name].view(-1)[start : start + len(values)]
            average.copy_(average.to(values.device).lerp_(values, rate))

    def save(self, folder: Path) -> None:
        """Write it in Hugging Face format."""
        save_model(self.model, folder)


class FolderTeacher:
    """A model in Hugging Face format whose float32 weights are changed where they lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @torch.no_grad()
    def follow(self, student: Pieces, rate: float) -> None:
        """Come closer to the student."""
        with ExitStack() as stack:
            files = [stack.enter_context(TensorFile(path)) for path in weight_files(self.folder)]
            file_of = {name: file for file in files for name in file.places}
            for name, start, values in student:
                average = file_of[name].read(name, start, start + len(values)).to(values.device)
                file_of[name].write(name, start, average.lerp_(values, rate).cpu())

    def save(self, folder: Path) -> None:
        """It lies there already, where the round ends; elsewhere goes a copy."""
        if folder != self.folder:
            shutil.copytree(self.folder, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)


Teacher = ModelTeacher | FolderTeacher


def open_teacher(
    settings: EmaTeacher,
    student: Any,
    *,
    policy_folder: Path,
    saved: Path | None,
    folder: Path | None,
    device: torch.device,
) -> Teacher:
    """The teacher that was `saved`, or, with None, a copy of the student, which is whole and in float32.

    `device` is where the student is trained. `folder`: where the round will save it, None to keep it in memory. An
    adapter's is in memory in any case: it is small, and its base is the student's.
    """
    if hasattr(student, "peft_config"):
        twin = copy_sharing_frozen(student)
        if saved is not None and has_adapter(saved):
            load_adapter(twin, saved)
        return ModelTeacher(twin)
    if folder is not None and on_disk(settings, device):
        _put(student, saved, folder)
        if _holds(folder, trained_parameters(student)):
            return FolderTeacher(folder)
        shutil.rmtree(folder)  # saved under other names than the model has: it can't be changed there
    teacher = ModelTeacher(load_model(saved or policy_folder, "cpu"))
    if saved is None:  # the policy's file may have half of the bits of the weights alone
        teacher.follow(((name, 0, weight.view(-1)) for name, weight in trained_parameters(student).items()), 1.0)
    return teacher


def on_disk(settings: EmaTeacher, device: torch.device) -> bool:
    """Where it is kept: `auto` leaves the memory to training, on a GPU there is the host's beside it."""
    return settings.place == "disk" or (settings.place == "auto" and device.type == "cpu")


def _put(student: Any, saved: Path | None, folder: Path) -> None:
    if saved is None:
        folder.mkdir(parents=True)
        save_model(student, folder)
    else:
        # An adapter of earlier rounds, merged since, would be taken for the teacher's by a run that has one again.
        shutil.copytree(saved, folder, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(ADAPTER))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder."""
    return sorted(folder.glob("*.safetensors"))


def _holds(folder: Path, weights: dict[str, Tensor]) -> bool:
    """Whether the folder's files have these weights under these names, in float32."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(folder):
        with TensorFile(path) as file:
            shapes |= {name: place.shape for name, place in file.places.items() if place.dtype == torch.float32}
    return all(shapes.get(name) == tuple(weight.shape) for name, weight in weights.items())
