"""What outlives a round: master weights, optimizer moments, the teacher, the step count; all in safetensors.

FOLDER/                 the policy in Hugging Face format: vLLM and transformers open it as it is
FOLDER/adapter/         what was trained, in peft's format, where that is an adapter alone
FOLDER/teacher/         the teacher in the same format, where it has weights of its own (`ema`)
FOLDER/optimizer.safetensors, FOLDER/trainer.json
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mopd.models.lora import copy_sharing_frozen, has_adapter, load_student, load_twin, save_model
from mopd.models.teachers import TEACHER_FOLDER, has_weights

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings import TrainSettings

OPTIMIZER = "optimizer.safetensors"
STEPS = "trainer.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class TrainerState:
    """The student with its optimizer, the teacher, and how far training has come."""

    student: Any
    teacher: Any | None
    """The next round's teacher, where it has weights of its own."""
    optimizer: torch.optim.AdamW
    step: int
    """Optimizer steps taken so far."""
    updates: int
    """Updates begun so far: steps, and those that had nothing to learn."""


def open_state(
    policy_folder: Path,
    state_folder: Path | None,
    settings: TrainSettings,
    device: torch.device,
    *,
    base_folder: Path | None = None,
    seed: int = 0,
) -> TrainerState:
    """The state to train on from: fresh without `state_folder`. A teacher without weights yet copies the student's.

    `base_folder` is the model that the policy's adapter is put on, None where it has none; a new adapter is drawn by
    `seed`.
    """
    is_whole_model = state_folder is None or settings.lora is None or not has_adapter(policy_folder)
    assert is_whole_model or base_folder is not None, "an adapter goes on with the model that it is put on"
    student = load_student(policy_folder, base_folder or policy_folder, settings.lora, device=device, seed=seed)
    student.train()
    optimizer = torch.optim.AdamW(
        list(trained_parameters(student).values()),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    if state_folder is None:
        return TrainerState(student, _teacher(student, None, settings), optimizer, step=0, updates=0)
    progress = json.loads((state_folder / STEPS).read_text())
    _restore_moments(optimizer, student, load_file(state_folder / OPTIMIZER), progress["step"])
    return TrainerState(student, _teacher(student, state_folder, settings), optimizer, **progress)


def _teacher(student: Any, state_folder: Path | None, settings: TrainSettings) -> Any | None:
    if not has_weights(settings.teacher):
        return None
    if state_folder is None or not (state_folder / TEACHER_FOLDER).is_dir():
        return copy_sharing_frozen(student)
    return load_twin(student, state_folder / TEACHER_FOLDER)


def update_teacher(state: TrainerState, settings: TrainSettings) -> None:
    """After an optimizer step: teacher <- (1 - rate) teacher + rate student (paper: rate 0.05), for `ema` alone."""
    if settings.teacher.kind != "ema":
        return
    teacher_weights, student_weights = trained_parameters(state.teacher), trained_parameters(state.student)
    with torch.no_grad():
        for weight, new in zip(teacher_weights.values(), student_weights.values(), strict=True):
            weight.lerp_(new, settings.teacher.rate)


def save_state(state: TrainerState, source: Path, out: Path) -> None:
    """Write the state into the empty or missing folder `out`; tokenizer files are copied from `source`."""
    for model, folder in ((state.student, out), (state.teacher, out / TEACHER_FOLDER)):
        if model is None:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        with _write_errors(folder):
            save_model(model, folder)
        for name in TOKENIZER_FILES:
            if (source / name).exists():
                shutil.copyfile(source / name, folder / name)
    with _write_errors(out / OPTIMIZER):
        save_file(_moments(state), out / OPTIMIZER)
    (out / STEPS).write_text(json.dumps({"step": state.step, "updates": state.updates}))


def drop_trainer_state(folder: Path) -> None:
    """Free the disk space of a round's teacher and optimizer; its policy stays."""
    shutil.rmtree(folder / TEACHER_FOLDER, ignore_errors=True)
    (folder / OPTIMIZER).unlink(missing_ok=True)
    (folder / STEPS).unlink(missing_ok=True)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """safetensors reports a full disk or missing rights by an error of its own; to our callers it is an OSError."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error


def trained_parameters(model: Any) -> dict[str, Tensor]:
    """Trained parameters by name; tied weights appear once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _moments(state: TrainerState) -> dict[str, Tensor]:
    return dict(_named_moments(state))


def _named_moments(state: TrainerState) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in trained_parameters(state.student).items():
        for moment in MOMENTS:
            if parameter in state.optimizer.state:
                yield f"{moment}.{name}", state.optimizer.state[parameter][moment].contiguous()


def _restore_moments(optimizer: torch.optim.AdamW, student: Any, moments: dict[str, Tensor], steps: int) -> None:
    for name, parameter in trained_parameters(student).items():
        if f"{MOMENTS[0]}.{name}" in moments:
            optimizer.state[parameter] = {
                "step": torch.tensor(float(steps)),
                **{moment: moments[f"{moment}.{name}"].to(parameter.device) for moment in MOMENTS},
            }
