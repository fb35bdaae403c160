"""Score: what student and teacher say about every token of every rollout.

The student reads prompt + rollout, the teacher context + rollout; both give the log-probability of the sampled tokens
and of a support of likely tokens, at the rollout temperature (arXiv 2605.12652, section 3). The logic of peers stays
outside, a context is token ids; what a teacher is made of is said in `mopd.models.teachers`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from mopd.errors import InputError
from mopd.groups import group_advantages
from mopd.models.device import autocast, default_device
from mopd.models.folders import model_window
from mopd.models.teachers import EXTERNAL_PATH, load_teacher, teacher_sources, teacher_version
from mopd.objectives import needs_reference, needs_support
from mopd.objectives.rounding import DISPLAY_BITS, HALF_BITS, is_apart, round_rollouts
from mopd.reading.forward import Branch, branches, check_window, hidden_states, make_batch, plan_batches, tree_tokens
from mopd.reading.head import check_head, num_ids, token_logps
from mopd.reading.narrow import load_reader

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings import Settings

Rows = list[dict[str, Any]]

MOST_ENTRIES = 2**31 - 1
"""Support entries of a shard: Arrow counts them in 32 bits."""
SUPPORT_COLUMNS = ("support_ids", "support_teacher_logprobs", "support_student_logprobs")


class LoadedModels:
    """Models by folder, each loaded once: the student, its teacher, and the initial policy where training wants it."""

    def __init__(self, student_folder: Path, device: torch.device, precision: str) -> None:
        self.student = load_reader(student_folder, device, precision)
        self._device, self._precision = device, precision
        self._models: dict[Path, Any] = {student_folder: self.student}

    def get(self, folder: Path) -> Any:
        """The model of a folder. Raises InputError where it can't be loaded, or changes its logits as we don't know."""
        if folder not in self._models:
            model = load_reader(folder, self._device, self._precision)
            with autocast(self._precision, self._device):
                check_head(model, EXTERNAL_PATH)  # the others are what the student is
            self._models[folder] = model
        return self._models[folder]


class Reading(NamedTuple):
    """What one model says about the rollouts of a shard: by row, arrays [T], [T, K] (as int32) and [T, K]."""

    sampled: dict[int, np.ndarray]
    support_ids: dict[int, np.ndarray]
    support_logps: dict[int, np.ndarray]


class Scorer:
    """Student and teacher, loaded once, scoring shard after shard."""

    def __init__(
        self,
        settings: Settings,
        *,
        policy_folder: Path,
        state_folder: Path | None = None,
        reference_folder: Path | None = None,
        device: torch.device | None = None,
    ) -> None:
        """`state_folder` is the policy's trainer state, None for the first policy or a teacher that has none in it;
        `reference_folder` the run's initial policy, None where `policy_folder` is that one."""
        self.settings = settings
        self.device = device or default_device()
        self.reference_folder = reference_folder or policy_folder
        self.sources = teacher_sources(
            settings.train.teacher,
            policy_folder=policy_folder,
            state_folder=state_folder,
            reference_folder=self.reference_folder,
        )
        self.student_window = model_window(policy_folder)
        self.teacher_window = min(model_window(source.folder) for source in self.sources)
        self.models = LoadedModels(policy_folder, self.device, settings.model.precision)
        self.student = self.models.student
        with autocast(settings.model.precision, self.device):
            check_head(self.student)
        self.num_ids = num_ids(self.student)
        self.support = settings.score.support if needs_support(settings) else "full"
        self._last: tuple[list[Branch], float, Reading] | None = None

    def score(self, rollouts: Rows, verdicts: Rows, contexts: Rows, *, policy_version: int) -> Rows:
        """Rows of `scores`, one a rollout, in the order of `rollouts`; the policy is of version `policy_version`.

        Raises InputError where a model's window is too short, or where the shard would have too large a support.
        """
        self._check_size(sum(len(row["token_ids"]) for row in rollouts))
        student_reads, teacher_reads = self._branches(rollouts, contexts)
        temperatures = {float(row["temperature"]) for row in rollouts}
        assert len(temperatures) == 1, "a shard is sampled at one temperature"
        student, teacher, reference = self._read_all(student_reads, teacher_reads, temperatures.pop())
        advantages = group_advantages(verdicts, normalize_std=self.settings.train.normalize_advantage_std)
        teacher_is = self.settings.train.teacher
        return [
            {
                **_copy_columns(rollout, context),
                "teacher": teacher_is.kind,
                "teacher_version": teacher_version(teacher_is, policy_version),
                "policy_version": policy_version,
                **_read_columns(row, student, teacher, reference),
                **self._support_columns(row, student, teacher),
                "advantage": advantages[row],
            }
            for row, (rollout, context) in enumerate(zip(rollouts, contexts, strict=True))
        ]

    def _branches(self, rollouts: Rows, contexts: Rows) -> tuple[list[Branch], list[Branch]]:
        """What the student and what the teacher reads. Raises InputError where a model's window is too short."""
        responses = [np.asarray(row["token_ids"], dtype=np.int64) for row in rollouts]
        prompts = [np.asarray(row["prompt_token_ids"], dtype=np.int64) for row in rollouts]
        context_ids = [np.asarray(row["context_token_ids"], dtype=np.int64) for row in contexts]
        for prefixes, window in ((prompts, self.student_window), (context_ids, self.teacher_window)):
            check_window([len(p) + len(r) for p, r in zip(prefixes, responses, strict=True)], window)
        return branches(prompts, responses), branches(context_ids, responses)

    def _check_size(self, num_tokens: int) -> None:
        """InputError if no shard could hold the support of so many tokens: said before they are scored."""
        entries = num_tokens * self._num_support()
        if entries > MOST_ENTRIES:
            raise InputError(
                f"score.top_k: a support of {self._num_support()} ids at {num_tokens} tokens has {entries} entries, "
                f"and a shard holds {MOST_ENTRIES}; lower prompts_per_shard or score.top_k"
            )

    def _read_all(
        self, student_reads: list[Branch], teacher_reads: list[Branch], temperature: float
    ) -> tuple[Reading, Reading, Reading | None]:
        """Student, teacher and, where training wants it, the initial policy."""
        reference = None
        if needs_reference(self.settings):
            reference = self._read(self.models.get(self.reference_folder), student_reads, temperature)
        return *self._read_both(student_reads, teacher_reads, temperature), reference

    def _read_both(
        self, student_reads: list[Branch], teacher_reads: list[Branch], temperature: float
    ) -> tuple[Reading, Reading]:
        """The student at the sampled tokens, and the teacher there and on the support."""
        student = self._read_student(student_reads, temperature)
        teacher = load_teacher(self.sources, self.models.get, num_ids=self.num_ids)
        support_ids = student.support_ids if self.support in ("student", "union") else None
        top_k = self.settings.score.top_k if self.support in ("teacher", "union") else None
        reading = self._read(teacher, teacher_reads, temperature, support_ids=support_ids, top_k=top_k)
        apart = [row for row, logps_T in reading.sampled.items() if is_apart(logps_T, student.sampled[row])]
        return student, self._round(reading, apart, bits=HALF_BITS)

    def _read_student(self, prompts: list[Branch], temperature: float) -> Reading:
        """The student, also on its top k; the last shard's are kept, for other contexts of the same rollouts."""
        if self._last is None or self._last[:2] != (prompts, temperature):
            top_k = self.settings.score.top_k if self.support in ("student", "union") else None
            exact = self._read(self.student, prompts, temperature, top_k=top_k)
            is_kept = self.settings.score.keep_student
            kept = self._round(exact, exact.sampled, bits=DISPLAY_BITS) if is_kept else exact._replace(support_logps={})
            self._last = prompts, temperature, kept
        return self._last[2]

    def _round(self, reading: Reading, rows: Iterable[int], *, bits: int) -> Reading:
        """A reading with the log-probabilities on its support as they are kept, those of some rows rounded."""
        if self.settings.score.precision == "float32" or self.support == "full":
            return reading
        rounded = round_rollouts({row: reading.support_logps[row] for row in rows}, self.device, bits=bits)
        return reading._replace(support_logps=reading.support_logps | rounded)

    @torch.no_grad()
    def _read(
        self,
        model: Any,
        items: list[Branch],
        temperature: float,
        *,
        support_ids: dict[int, np.ndarray] | None = None,
        top_k: int | None = None,
    ) -> Reading:
        """Read rollouts after their prefixes, on a support as in `token_logps`."""
        settings, out = self.settings.score, Reading({}, {}, {})
        for trees in plan_batches(
            items, max_tokens=settings.max_tokens_per_pass, shared_tokens=tree_tokens(model, items)
        ):
            batch = make_batch(trees, self.device)
            ids = None
            if support_ids is not None:
                flat = np.concatenate([support_ids[row] for row, _ in batch.rows])
                ids = torch.from_numpy(flat).to(self.device).long()
            with autocast(self.settings.model.precision, self.device):
                logps = token_logps(
                    model,
                    hidden_states(model, batch),
                    batch.targets,
                    temperature=temperature,
                    chunk=settings.chunk_positions,
                    support_ids_NK=ids,
                    top_k=top_k,
                )
            for column, tensor in zip(out, logps, strict=True):
                ends = np.cumsum([length for _, length in batch.rows])[:-1]
                small = tensor if tensor.is_floating_point() else tensor.int()
                parts = np.split(small.cpu().numpy(), ends)
                column.update((row, part) for (row, _), part in zip(batch.rows, parts, strict=True))
        return out

    def _num_support(self) -> int:
        """K of the shard's support columns."""
        times = {"student": 1, "teacher": 1, "union": 2, "full": 0}[self.support]
        return min(times * self.settings.score.top_k, self.num_ids)

    def _support_columns(self, row: int, student: Reading, teacher: Reading) -> dict[str, Any]:
        """The support of one rollout, the teacher on it and the student on its own ids; null where none is kept."""
        num_support = self._num_support()
        if not num_support:
            return dict.fromkeys(SUPPORT_COLUMNS)
        none_TK = np.zeros((0, num_support), np.float32)
        has_student = self.settings.score.keep_student and self.support != "teacher"
        return {
            "support_ids": teacher.support_ids.get(row, none_TK.astype(np.int32)),
            "support_teacher_logprobs": teacher.support_logps.get(row, none_TK),
            "support_student_logprobs": student.support_logps.get(row, none_TK) if has_student else None,
        }


def _copy_columns(rollout: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Columns that training needs beside the scores, so that it reads one table."""
    names = ("run", "round", "prompt_id", "sample", "prompt_token_ids", "token_ids", "temperature", "behavior_logprobs")
    return {
        **{name: rollout[name] for name in names},
        "distill": bool(context["has_sections"]) or context["variant"] == "none",
        "context_digest": context["context_digest"],
    }


def _read_columns(row: int, student: Reading, teacher: Reading, reference: Reading | None) -> dict[str, Any]:
    """What the models said about one rollout; an empty one has no log-probabilities, and no mean of them."""
    none_T = np.zeros(0, np.float32)
    teacher_logps_T = teacher.sampled.get(row, none_T)
    return {
        "proximal_logprobs": student.sampled.get(row, none_T),
        "teacher_logprobs": teacher_logps_T,
        "reference_logprobs": None if reference is None else reference.sampled.get(row, none_T),
        "mean_teacher_logprob": float(teacher_logps_T.mean()) if len(teacher_logps_T) else None,
    }
