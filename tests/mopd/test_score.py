"""Scoring: the numbers of student and teacher beside each token, and the group-relative advantage."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mopd.score
from mopd.errors import InputError
from mopd.models.folders import load_model, resolve_model
from mopd.objectives.rounding import DISPLAY_BITS, HALF_BITS, round_logps
from mopd.reading.forward import branches as branches_of
from mopd.reading.forward import hidden_states, make_batch, plan_batches
from mopd.reading.head import num_ids, token_logps
from mopd.reading.narrow import load_reader
from mopd.score import SUPPORT_COLUMNS
from tests.mopd.scoring_samples import CONTEXT, PROMPT, RESPONSES, TEMPERATURE, TOP_K, scorer_of, shard

SUPPORTS = ("student", "teacher", "union", "full")


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict[str, Any]]]:
    """Scores of the same shard, by support."""
    given = {name: scorer_of({"score": {"support": name}}) for name in SUPPORTS}
    return {name: scorer.score(*shard(), policy_version=0) for name, scorer in given.items()}


def logps(folder: Path, prefix: list[int], response: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits = load_model(folder, "cpu")(torch.tensor([prefix + response])).logits[0, len(prefix) - 1 : -1]
    return torch.log_softmax(logits / TEMPERATURE, dim=-1)


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("row", [0, 1])
def test_student_reads_the_prompt_and_teacher_the_context(
    rows: dict[str, list[dict[str, Any]]], folder: Path, row: int, support: str
) -> None:
    ids = torch.tensor(RESPONSES[row])[:, None]
    for column, prefix in (("proximal_logprobs", PROMPT), ("teacher_logprobs", CONTEXT)):
        expected = logps(folder, prefix, RESPONSES[row]).gather(1, ids).squeeze(1)
        np.testing.assert_allclose(rows[support][row][column], expected, atol=1e-5)


def expected_ids(support: str, student: torch.Tensor, teacher: torch.Tensor) -> list[list[int]]:
    """Distinct ids of each position, by a plain top-k."""
    own, other = (logps_TV.topk(TOP_K).indices.tolist() for logps_TV in (student, teacher))
    given = {"student": [own], "teacher": [other], "union": [own, other], "full": []}[support]
    return [list(dict.fromkeys(chain(*lists))) for lists in zip(*given, strict=True)]


@pytest.mark.parametrize("support", SUPPORTS[:3])
def test_a_support_is_a_top_k_or_both_and_the_teacher_is_read_on_it(
    rows: dict[str, list[dict[str, Any]]], folder: Path, support: str
) -> None:
    student, teacher = (logps(folder, prefix, RESPONSES[0]) for prefix in (PROMPT, CONTEXT))
    row = rows[support][0]
    expected, width = expected_ids(support, student, teacher), 2 * TOP_K if support == "union" else TOP_K
    assert [[one for one in ids if one >= 0] for ids in row["support_ids"].tolist()] == expected
    for position, ids in enumerate(expected):
        padding = [-np.inf] * (width - len(ids))
        assert row["support_ids"][position].tolist() == [*ids, *[-1] * len(padding)]
        there = row["support_teacher_logprobs"][position]
        np.testing.assert_allclose(there, [*teacher[position, ids].tolist(), *padding], atol=1e-5)


def test_some_union_has_ids_in_common_and_some_of_one_model_alone(rows: dict[str, list[dict[str, Any]]]) -> None:
    """Or the test above would show nothing."""
    sizes = {int((ids >= 0).sum()) for row in rows["union"] for ids in row["support_ids"]}
    assert sizes & set(range(TOP_K + 1, 2 * TOP_K))


WITHOUT_SUPPORT: dict[str, dict[str, Any]] = {
    "full": {"score": {"support": "full"}},
    "grpo": {"train": {"objective": "grpo"}},
    "dpo": {"train": {"objective": "dpo"}},
    "simpo": {"train": {"objective": "simpo"}},
    "sft": {"train": {"objective": "sft"}},
    "sampled": {"train": {"objective": {"kind": "distill", "form": "sampled_token", "alpha": 1.0}}},
}


@pytest.mark.parametrize("name", WITHOUT_SUPPORT)
def test_a_support_that_nobody_reads_is_neither_computed_nor_kept(
    rows: dict[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked: list[Any] = []
    plain = mopd.score.token_logps

    def watched(*args: Any, **named: Any) -> Any:
        asked.append((named["support_ids_NK"], named["top_k"]))
        return plain(*args, **named)

    monkeypatch.setattr("mopd.score.token_logps", watched)
    scored = scorer_of(WITHOUT_SUPPORT[name]).score(*shard(), policy_version=0)
    assert set(asked) == {(None, None)}
    assert [row[column] for row in scored for column in SUPPORT_COLUMNS] == [None] * 9
    for row, other in zip(scored, rows["student"], strict=True):
        assert np.array_equal(row["proximal_logprobs"], other["proximal_logprobs"])
        assert np.array_equal(row["teacher_logprobs"], other["teacher_logprobs"])


def test_the_student_is_kept_on_its_own_top_k_and_only_where_that_is_asked_for(
    rows: dict[str, list[dict[str, Any]]], folder: Path
) -> None:
    expected = logps(folder, PROMPT, RESPONSES[0]).topk(TOP_K).values
    for support in ("student", "union"):  # whose first ids are the student's
        kept = rows[support][0]["support_student_logprobs"]
        np.testing.assert_allclose(kept, expected, rtol=2 * 2**-DISPLAY_BITS)
    assert [row["support_student_logprobs"] for row in rows["teacher"]] == [None] * 3
    without = scorer_of({"score": {"keep_student": False}}).score(*shard(), policy_version=0)
    assert [row["support_student_logprobs"] for row in without] == [None] * 3
    for row, other in zip(without, rows["student"], strict=True):
        for column in SUPPORT_COLUMNS[:2]:
            np.testing.assert_array_equal(row[column], other[column])


@pytest.mark.parametrize("support", SUPPORTS[:3])
def test_half_precision_rounds_the_support_alone(monkeypatch: pytest.MonkeyPatch, support: str) -> None:
    monkeypatch.setattr("mopd.objectives.rounding.APART", 0.0)  # the tiny model says much the same to any context
    half, exact = (
        scorer_of({"score": {"support": support, "precision": precision}}).score(*shard(), policy_version=0)
        for precision in ("float16", "float32")
    )
    bits = {"support_teacher_logprobs": HALF_BITS, "support_student_logprobs": DISPLAY_BITS}
    for row, full in zip(half, exact, strict=True):
        for column, value in full.items():
            is_rounded = column in bits and value is not None
            expected = round_logps(torch.from_numpy(value), bits=bits[column]).numpy() if is_rounded else value
            np.testing.assert_array_equal(row[column], expected, err_msg=column)
    assert not np.array_equal(*(rows[0]["support_teacher_logprobs"] for rows in (half, exact)))


def test_a_teacher_that_is_all_but_the_student_is_not_rounded() -> None:
    rollouts, verdicts, contexts = shard()
    same = [row | {"context_token_ids": PROMPT} for row in contexts]
    half, exact = (
        scorer_of({"score": {"precision": precision}}).score(rollouts, verdicts, same, policy_version=0)
        for precision in ("float16", "float32")
    )
    for row, full in zip(half, exact, strict=True):
        np.testing.assert_array_equal(row["support_teacher_logprobs"], full["support_teacher_logprobs"])


def test_a_support_too_large_for_a_shard_is_refused_before_anything_is_read() -> None:
    """Arrow counts entries in 32 bits; the tokens here are one number, seen very often."""
    rollouts, verdicts, contexts = shard()
    scorer = scorer_of({"score": {"support": "union", "top_k": 100}})
    most = (2**31 - 1) // 200
    long = [
        row | {"token_ids": np.broadcast_to(np.int32(7), most + 1 if n == 0 else 0)} for n, row in enumerate(rollouts)
    ]
    with pytest.raises(
        InputError, match=r"score.top_k: .* 200 ids .* lower prompts_per_shard or score.top_k"
    ) as caught:
        scorer.score(long, verdicts, contexts, policy_version=0)
    assert "\n" not in str(caught.value)
    scorer._check_size(most)


def test_the_support_of_a_whole_vocabulary_has_each_id_once(folder: Path) -> None:
    size = num_ids(load_model(folder, "cpu"))
    row = scorer_of({"score": {"support": "union", "top_k": size}}).score(*shard(), policy_version=0)[0]
    assert np.sort(row["support_ids"], axis=-1).tolist() == [list(range(size))] * 3


@pytest.mark.parametrize("support", SUPPORTS[:3])
def test_an_empty_response_has_no_score_rather_than_the_best(
    rows: dict[str, list[dict[str, Any]]], support: str
) -> None:
    row = rows[support][2]
    assert row["mean_teacher_logprob"] is None
    assert row["support_ids"].shape == (0, 2 * TOP_K if support == "union" else TOP_K)


def test_padding_of_a_support_has_no_mass_and_no_gradient(folder: Path) -> None:
    model = load_model(folder, "cpu")
    (trees,) = plan_batches(branches_of([np.array(PROMPT)], [np.array(RESPONSES[0])]), max_tokens=99)
    batch = make_batch(trees)
    grads = []
    for ids in ([3, 4], [3, 4, -1]):
        given = torch.tensor([ids] * 3)
        read = token_logps(
            model, hidden_states(model, batch), batch.targets, temperature=1.0, chunk=2, support_ids_NK=given
        )
        model.zero_grad()
        read.support_logps_NK.exp().sum().backward()
        grads.append(model.get_input_embeddings().weight.grad.clone())
    assert torch.equal(read.support_logps_NK[:, 2], torch.full((3,), -torch.inf))
    assert torch.equal(*grads)


@pytest.mark.parametrize("objective", ["dpo", {"kind": "grpo", "kl_weight": 0.1}], ids=["dpo", "grpo with a KL term"])
def test_what_training_needs_of_the_initial_policy_is_read_from_it_and_only_then(
    rows: dict[str, list[dict[str, Any]]], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: Any
) -> None:
    assert rows["student"][0]["reference_logprobs"] is None
    policy, teacher = (moved(folder, tmp_path / name, by) for name, by in (("policy", 1.01), ("state/teacher", 1.02)))
    places = {"policy_folder": policy, "state_folder": teacher.parent, "reference_folder": folder}
    loaded: list[Path] = []
    monkeypatch.setattr("mopd.score.load_reader", lambda path, *how: loaded.append(path) or load_reader(path, *how))
    scorer = scorer_of({"train": {"objective": objective}}, **places)
    first, second = (scorer.score(*shard(), policy_version=1) for _ in range(2))
    ids = torch.tensor(RESPONSES[0])[:, None]
    expected = logps(folder, PROMPT, RESPONSES[0]).gather(1, ids).squeeze(1)
    np.testing.assert_allclose(first[0]["reference_logprobs"], expected, atol=1e-5)
    assert first[2]["reference_logprobs"].shape == (0,)
    for column in ("teacher_logprobs", "reference_logprobs"):
        assert np.array_equal(first[0][column], second[0][column])
    assert sorted(loaded) == sorted([policy, folder, teacher])  # once for all shards


def moved(folder: Path, out: Path, factor: float) -> Path:
    """The model with every weight multiplied."""
    model = load_model(folder, "cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    model.save_pretrained(out)
    return out


def test_longer_than_the_window_is_refused() -> None:
    for window, message in (("teacher_window", "8 tokens and the model reads 7"), ("student_window", "6 .* reads 5")):
        scorer = scorer_of({})
        setattr(scorer, window, 7 if window == "teacher_window" else 5)
        with pytest.raises(InputError, match=message):
            scorer.score(*shard(), policy_version=0)


def test_golden_scores_of_a_tiny_model(rows: dict[str, list[dict[str, Any]]]) -> None:
    """A refactoring proves identical numbers. Values from before there was more than one kind of teacher, 2026-11."""
    for name, values in GOLDEN.items():
        np.testing.assert_allclose(rows["student"][0][name], values, atol=1e-4)


GOLDEN = {
    "proximal_logprobs": [-7.472, -7.8525, -7.7976],
    "teacher_logprobs": [-7.6467, -7.8711, -7.8127],
    "support_ids": [[223, 20, 2, 27], [223, 2, 20, 22], [223, 23, 22, 20]],
    "support_teacher_logprobs": [
        [-2.3591, -2.5446, -2.4856, -2.6221],
        [-2.3932, -2.4698, -2.5323, -2.6002],
        [-2.3579, -2.4836, -2.496, -2.5491],
    ],
}


def test_another_context_of_the_same_rollouts_does_not_read_the_student_again() -> None:
    rollouts, verdicts, contexts = shard()
    others = [row | {"context_token_ids": [*CONTEXT, 10]} for row in contexts]
    again = [row | {"prompt_token_ids": [*PROMPT, 3]} for row in rollouts]
    scorer, read = scorer_of({}), []
    plain = scorer._read
    scorer._read = lambda model, *args, **named: (read.append(model), plain(model, *args, **named))[1]  # type: ignore
    for given, shown, student_read in ((rollouts, contexts, True), (rollouts, others, False), (again, others, True)):
        read.clear()
        rows = scorer.score(given, verdicts, shown, policy_version=0)
        assert len(read) == 1 + student_read
        for row, fresh in zip(rows, scorer_of({}).score(given, verdicts, shown, policy_version=0), strict=True):
            for name in ("proximal_logprobs", "teacher_logprobs", *SUPPORT_COLUMNS):
                np.testing.assert_array_equal(row[name], fresh[name])
