"""Teachers: the one place that knows what each is made of.

A teacher is one model, or two whose logits are interpolated, read after prompt and peer context. `ema` alone has
weights of its own, which are saved with the round; the others are made of models that exist anyway. All stay as they
are while a round is scored and trained: what training changes is the teacher of the next round.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mopd.errors import InputError
from mopd.models.folders import model_digest, num_output_ids, resolve_model, vocabulary

if TYPE_CHECKING:  # this module is read where torch or pydantic is not there, or too slow to import
    from mopd.reading.forward import Blend
    from mopd.settings.teacher import TeacherSettings

TEACHER_FOLDER = "teacher"
"""Name of the teacher's own weights in a trainer state."""
EXTERNAL_PATH = "train.teacher.path"


class Source(NamedTuple):
    """A model that a teacher is made of, and its share of the teacher's logits."""

    folder: Path
    weight: float


def teacher_sources(
    teacher: TeacherSettings, *, policy_folder: Path, state_folder: Path | None, reference_folder: Path
) -> tuple[Source, ...]:
    """The models of the teacher that reads the rollouts of the policy in `policy_folder`; their weights add up to one.

    `state_folder`: the trainer state saved with that policy, None where there is none (the first round) or where the
    teacher has no weights of its own. `reference_folder`: the run's initial policy. An `ema` teacher whose state has no
    weights yet, as when a run goes on from one that had another teacher, begins at the policy's.
    """
    if teacher.kind == "ema":
        own = state_folder / TEACHER_FOLDER if state_folder is not None else None
        return (Source(own if own is not None and own.is_dir() else policy_folder, 1.0),)
    if teacher.kind == "live":
        return (Source(policy_folder, 1.0),)
    if teacher.kind == "frozen":
        return (Source(reference_folder, 1.0),)
    if teacher.kind == "external":
        return (Source(resolve_model(teacher.path, EXTERNAL_PATH), 1.0),)
    assert teacher.kind == "trust_region", teacher.kind
    if policy_folder == reference_folder:
        return (Source(policy_folder, 1.0),)
    parts = (Source(reference_folder, 1.0 - teacher.weight), Source(policy_folder, teacher.weight))
    return tuple(part for part in parts if part.weight > 0.0)


def load_teacher(sources: tuple[Source, ...], load: Callable[[Path], Any], *, num_ids: int) -> Blend:
    """The teacher as `mopd.reading.forward` reads it, over the first `num_ids` ids: those the student gives logits for.

    `load` gives the model of a folder, e.g. `lambda folder: load_model(folder, device)`.
    """
    from mopd.reading.forward import Blend

    return Blend(tuple(load(source.folder) for source in sources), tuple(source.weight for source in sources), num_ids)


def has_weights(teacher: TeacherSettings) -> bool:
    """Whether the teacher has weights of its own: they are kept with the round, and a round needs the last one's."""
    return teacher.kind == "ema"


def teacher_version(teacher: TeacherSettings, policy_version: int) -> int:
    """How many rounds of training the teacher has seen when policy `policy_version` is scored."""
    return 0 if teacher.kind in ("frozen", "external") else policy_version


def check_teacher(teacher: TeacherSettings, student_folder: Path) -> str | None:
    """Digest of an external teacher's folder, None for other teachers.

    Raises InputError for a folder that is no model, and for a model with other tokens or ids than the student's.
    """
    if teacher.kind != "external":
        return None
    folder = resolve_model(teacher.path, EXTERNAL_PATH)
    _check_vocabulary(folder, student_folder)
    num_teacher_ids, num_student_ids = num_output_ids(folder), num_output_ids(student_folder)
    if num_teacher_ids < num_student_ids:
        raise InputError(
            f"{EXTERNAL_PATH}: {folder} gives logits for {num_teacher_ids} ids and the student in {student_folder} for "
            f"{num_student_ids}; choose a teacher whose vocab_size is at least the student's"
        )
    return model_digest(folder)


def _check_vocabulary(folder: Path, student_folder: Path) -> None:
    """The student's tokens, which the teacher is fed, must be the teacher's, under the same ids."""
    teacher_ids, student_ids = vocabulary(folder), vocabulary(student_folder)
    differing = sorted((number, token) for token, number in student_ids.items() if teacher_ids.get(token) != number)
    extra = sorted((number, token) for token, number in teacher_ids.items() if token not in student_ids)
    if not differing and not extra:
        return
    number, token = (differing or extra)[0]
    in_teacher = f"id {teacher_ids[token]}" if token in teacher_ids else "absent"
    in_student = f"id {number}" if differing else "absent"
    raise InputError(
        f"{EXTERNAL_PATH}: {folder} has another tokenizer than the student in {student_folder}: {len(teacher_ids)} and "
        f"{len(student_ids)} tokens, {len(differing) + len(extra)} of them differ, e.g. {token!r} is "
        f"{in_teacher} there and {in_student} here; choose a teacher of the student's family"
    )
