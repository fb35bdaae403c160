"""What outlives a round: master weights, optimizer moments, the teacher, the step count; all in safetensors.

FOLDER/                 the policy in Hugging Face format: vLLM and transformers open it as it is
FOLDER/teacher/         the teacher in the same format
FOLDER/optimizer.safetensors, FOLDER/trainer.json
"""

from __future__ import annotations

import copy
import errno
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mopd.models import load_model

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings import TrainSettings

TEACHER = "teacher"
OPTIMIZER = "optimizer.safetensors"
STEPS = "trainer.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class TrainerState:
    """The student with its optimizer, the teacher, and how far training has come."""

    student: Any
    teacher: Any
    optimizer: torch.optim.AdamW
    step: int
    """Optimizer steps taken so far."""
    updates: int
    """Updates begun so far: steps, and those that had nothing to learn."""


def open_state(
    policy_folder: Path, state_folder: Path | None, settings: TrainSettings, device: torch.device
) -> TrainerState:
    """The state to train on from: fresh (the teacher is a copy of the student) without `state_folder`."""
    student = load_model(policy_folder, device)
    student.train()
    optimizer = torch.optim.AdamW(
        list(_parameters(student).values()),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    if state_folder is None:
        return TrainerState(student, copy.deepcopy(student).eval(), optimizer, step=0, updates=0)
    progress = json.loads((state_folder / STEPS).read_text())
    _restore_moments(optimizer, student, load_file(state_folder / OPTIMIZER), progress["step"])
    return TrainerState(student, load_model(state_folder / TEACHER, device), optimizer, **progress)


def save_state(state: TrainerState, source: Path, out: Path) -> None:
    """Write the state into the empty or missing folder `out`; tokenizer files are copied from `source`."""
    for model, folder in ((state.student, out), (state.teacher, out / TEACHER)):
        folder.mkdir(parents=True, exist_ok=True)
        with _write_errors(folder):
            model.save_pretrained(folder)
        for name in TOKENIZER_FILES:
            if (source / name).exists():
                shutil.copyfile(source / name, folder / name)
    with _write_errors(out / OPTIMIZER):
        save_file(_moments(state), out / OPTIMIZER)
    (out / STEPS).write_text(json.dumps({"step": state.step, "updates": state.updates}))


def drop_trainer_state(folder: Path) -> None:
    """Free the disk space of a round's teacher and optimizer; its policy stays."""
    shutil.rmtree(folder / TEACHER, ignore_errors=True)
    (folder / OPTIMIZER).unlink(missing_ok=True)
    (folder / STEPS).unlink(missing_ok=True)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """safetensors reports a full disk or missing rights by an error of its own; to our callers it is an OSError."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error


@torch.no_grad()
def update_teacher(teacher: Any, student: Any, rate: float) -> None:
    """Exponential moving average: teacher <- (1 - rate) teacher + rate student (paper: rate 0.05)."""
    for theirs, ours in zip(_values(teacher), _values(student), strict=True):
        theirs.lerp_(ours, rate)


def _values(model: Any) -> Iterable[Tensor]:
    return _parameters(model).values()


def _parameters(model: Any) -> dict[str, Tensor]:
    """Trained parameters by name; tied weights appear once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _moments(state: TrainerState) -> dict[str, Tensor]:
    return dict(_named_moments(state))


def _named_moments(state: TrainerState) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in _parameters(state.student).items():
        for moment in MOMENTS:
            if parameter in state.optimizer.state:
                yield f"{moment}.{name}", state.optimizer.state[parameter][moment].contiguous()


def _restore_moments(optimizer: torch.optim.AdamW, student: Any, moments: dict[str, Tensor], steps: int) -> None:
    for name, parameter in _parameters(student).items():
        if f"{MOMENTS[0]}.{name}" in moments:
            optimizer.state[parameter] = {
                "step": torch.tensor(float(steps)),
                **{moment: moments[f"{moment}.{name}"].to(parameter.device) for moment in MOMENTS},
            }
