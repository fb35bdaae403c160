"""What outlives a round: master weights, optimizer moments, the teacher, the step count; all in safetensors.

FOLDER/                 the policy in Hugging Face format: vLLM and transformers open it as it is
FOLDER/adapter/         what was trained, in peft's format, where that is an adapter alone
FOLDER/teacher/         the teacher in the same format, where it has weights of its own (`ema`)
FOLDER/optimizer.safetensors, FOLDER/trainer.json
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mopd.errors import writing
from mopd.memory.pages import own_pages
from mopd.models.lora import has_adapter, load_student, save_model, trained_parameters
from mopd.models.teachers import TEACHER_FOLDER
from mopd.optimizers.make import make_optimizer, named_state, reading_dtype, rejoin, restore
from mopd.optimizers.piecewise import PiecewiseAdamW, weight_pieces
from mopd.reading.narrow import linear_parameters, narrow
from mopd.timeline import span
from mopd.trainer.ema import Pieces, Teacher, open_teacher, weight_files
from mopd.trainer.ranks import ALONE, Ranks
from mopd.trainer.shares import (
    cut_share,
    is_shared,
    join_shares,
    own_weights,
    share_out,
    with_weights,
    without_weights,
)

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings import TrainSettings

OPTIMIZER = "optimizer.safetensors"
STEPS = "trainer.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")


@dataclass
class TrainerState:
    """The student with its optimizer, the teacher, and how far training has come."""

    student: Any
    teacher: Teacher | None
    """The next round's teacher, where it has weights of its own; rank 0 alone has it."""
    optimizer: PiecewiseAdamW
    step: int
    """Optimizer steps taken so far."""
    updates: int
    """Updates begun so far: steps, and those that had nothing to learn."""
    weights: dict[str, Tensor]
    """The student's trained weights as this rank holds them: what the optimizer moves."""
    ranks: Ranks = ALONE
    structure: Any | None = None
    """The student without weights, where ranks hold shares of those: what it is saved as."""

    @property
    def shares(self) -> Ranks:
        """The ranks that hold the rest of the same weights."""
        return self.ranks if is_shared(self.student) else ALONE


@span("open trainer state", "load")
def open_state(
    policy_folder: Path,
    state_folder: Path | None,
    settings: TrainSettings,
    device: torch.device,
    *,
    base_folder: Path | None = None,
    seed: int = 0,
    precision: str = "float32",
    out: Path | None = None,
    ranks: Ranks = ALONE,
) -> TrainerState:
    """The state to train on from: fresh without `state_folder`. A teacher without weights yet copies the student's.

    `base_folder` is the model that the policy's adapter is put on, None where it has none; a new adapter is drawn by
    `seed`. `precision` is that of the passes. `out` is where the state will be saved: a teacher may lie there before
    (None: it doesn't). Raises InputError where the settings can't be had, or the weights can't be read. Each of `ranks`
    must ask, with the same folders; what is saved is the same however many there are.
    """
    shared = settings.shard == "full" and ranks.size > 1
    is_whole_model = state_folder is None or settings.lora is None or not has_adapter(policy_folder)
    assert is_whole_model or base_folder is not None, "an adapter goes on with the model that it is put on"
    home = torch.device("cpu") if shared else device
    student = load_student(policy_folder, base_folder or policy_folder, settings.lora, device=home, seed=seed)
    progress, saved = {"step": 0, "updates": 0}, dict[str, Tensor]()
    if state_folder is not None:
        progress, saved = json.loads((state_folder / STEPS).read_text()), load_file(state_folder / OPTIMIZER)
    rejoin(trained_parameters(student), saved)
    teacher = None
    if ranks.is_first:
        teacher = _open_teacher(settings, student, policy_folder, state_folder, out, device)
    structure = without_weights(student) if shared else None
    if shared:
        share_out(student, ranks, device)
    weights = own_weights(student)
    optimizer = make_optimizer(list(weights.values()), settings)
    if settings.master_weights == "bfloat16":
        _narrow(student, optimizer, reading_dtype(precision, device))
    restore(optimizer, weights, saved, progress["step"], whole=trained_parameters(student), cut=cut_share)
    own_pages([*weights.values(), *(value for state in optimizer.state.values() for value in state.values())])
    student.train()
    return TrainerState(student, teacher, optimizer, **progress, weights=weights, ranks=ranks, structure=structure)


def _narrow(student: Any, optimizer: PiecewiseAdamW, dtype: torch.dtype) -> None:
    """Linear layers in half the bits: what is trained without loss, but for an adapter, which is small.

    The others are copied, so that the file is let go of that they were loaded from (`mopd.reading.narrow`).
    """
    narrow(student, dtype)
    if hasattr(student, "peft_config"):
        return
    linear = {id(weight) for weight in linear_parameters(student)}
    for weight in trained_parameters(student).values():
        if id(weight) in linear:
            optimizer.narrow(weight)
        else:
            weight.data = weight.data.clone()


def _open_teacher(
    settings: TrainSettings,
    student: Any,
    policy_folder: Path,
    state_folder: Path | None,
    out: Path | None,
    device: torch.device,
) -> Teacher | None:
    if settings.teacher.kind != "ema":
        return None
    saved = state_folder / TEACHER_FOLDER if state_folder is not None else None
    with writing(out or policy_folder):
        return open_teacher(
            settings.teacher,
            student,
            policy_folder=policy_folder,
            saved=saved if saved is not None and saved.is_dir() else None,
            folder=out / TEACHER_FOLDER if out is not None else None,
            device=device,
        )


def update_teacher(state: TrainerState, settings: TrainSettings) -> None:
    """After an optimizer step: teacher <- (1 - rate) teacher + rate student (paper: rate 0.05), for `ema` alone."""
    if settings.teacher.kind != "ema":
        assert state.teacher is None, "no other teacher has weights of its own"
    elif state.teacher is not None:
        state.teacher.follow(student_pieces(state), settings.teacher.rate)
    elif is_shared(state.student):
        for _ in student_pieces(state):  # rank 0 gathers them for the teacher
            pass


def student_pieces(state: TrainerState) -> Pieces:
    """The student's trained weights, a piece at a time; those that are shared out, all ranks must ask for."""
    for name, weight in trained_parameters(state.student).items():
        own = state.weights[name]
        for start, values in weight_pieces(join_shares(own, weight), state.optimizer.state.get(own, {})):
            yield name, start, values


@span("save policy", "files")
def save_state(
    state: TrainerState, source: Path, out: Path | None, *, written: Callable[[Path], object] = lambda path: None
) -> None:
    """Write the state into the empty or missing folder `out`; tokenizer files are copied from `source`.

    Each rank must ask; rank 0 alone writes, and `out` is None for the others. `written` is called with each file of
    weights that is there as it stays, while others are still to be written.
    """
    student = state.student
    if state.structure is not None:
        student = with_weights(state.structure, student, state.ranks)
    if out is not None:
        _save_models(student, state.teacher, source, out, written)
    del student  # before moments are gathered
    moments = _gather_moments(state)
    if out is not None:
        with writing(out / OPTIMIZER):
            save_file(moments, out / OPTIMIZER)
        written(out / OPTIMIZER)
        (out / STEPS).write_text(json.dumps({"step": state.step, "updates": state.updates}))


def _save_models(
    student: Any, teacher: Teacher | None, source: Path, out: Path, written: Callable[[Path], object]
) -> None:
    """The teacher first: where it was averaged on the disk it is there already."""
    models: dict[Path, Callable[[Path], None]] = {out: partial(save_model, student)}
    if teacher is not None:
        models = {out / TEACHER_FOLDER: teacher.save, **models}
    for folder, save in models.items():
        folder.mkdir(parents=True, exist_ok=True)
        with writing(folder):
            save(folder)
        _copy_tokenizer(source, folder)
        for file in weight_files(folder):
            written(file)


def _gather_moments(state: TrainerState) -> dict[str, Tensor]:
    """What is kept of each weight, by `KIND.NAME`; whole, on rank 0, where ranks hold shares."""
    own = named_state(state.optimizer, state.weights)
    if not is_shared(state.student):
        return own
    weights, moments = trained_parameters(state.student), {}
    for name, values in own.items():
        whole = join_shares(values, weights[name.partition(".")[2]])
        if state.ranks.is_first:
            moments[name] = whole.cpu()
    return moments


def _copy_tokenizer(source: Path, folder: Path) -> None:
    for name in TOKENIZER_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)


def drop_trainer_state(folder: Path) -> None:
    """Free the disk space of a round's teacher and optimizer; its policy stays."""
    shutil.rmtree(folder / TEACHER_FOLDER, ignore_errors=True)
    (folder / OPTIMIZER).unlink(missing_ok=True)
    (folder / STEPS).unlink(missing_ok=True)
