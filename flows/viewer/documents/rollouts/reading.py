"""How a rollout was read in each context: what its teacher was shown, and what it thought of each token."""

from __future__ import annotations

from collections.abc import Sequence

from flows.viewer.documents.rollouts.group_rows import GroupRows
from flows.viewer.documents.rollouts.token_numbers import DIGITS, UNREADABLE, rounded, token_numbers
from flows.viewer.documents.viewed import Json
from mopd.contexts.spans import find_spans
from mopd.objectives.carried import why_no_loss
from mopd.settings import Settings
from storage.schemas import Row

OTHER_CONTEXT = "another context: it was only looked at"


def readings(
    group: GroupRows, samples: Sequence[int], settings: Settings | None, num_top: int
) -> dict[int, list[Json]]:
    """The readings of some rollouts, by condition; `num_top`: likeliest tokens of each model."""
    places = [(sample, condition) for sample in samples for condition in group.conditions]
    scores = {place: score for place in places if (score := group.of("scores", place[1]).get(place[0]))}
    train = None if settings is None else settings.train
    numbers = dict(zip(scores, token_numbers([*scores.values()], train, num_top), strict=True))
    trained = {sample: _training_row(group, sample) for sample in group.of("rollouts")}
    found: dict[int, list[Json]] = {sample: [] for sample in samples}
    for sample, condition in places:
        context, score = group.of("contexts", condition).get(sample), scores.get((sample, condition))
        if context is not None or score is not None:
            computed = numbers.get((sample, condition), {"loss": None, "top": None})
            found[sample].append(
                {
                    "condition": condition,
                    "context": None if context is None else _context(context),
                    "score": None if score is None else {**_score(score), "loss": computed["loss"]},
                    "untrained": OTHER_CONTEXT if condition else _why_untrained(trained, sample, settings),
                    "top": computed["top"],
                    "no_top": _why_no_top(score, settings),
                }
            )
    return found


def _context(context: Row) -> Json:
    """What the teacher was shown, and where in it each peer stands."""
    spans = find_spans(context["messages"], context["peers"], context["rendering"])
    names = ("variant", "rendering", "messages", "peers", "num_tokens", "dropped", "no_section_reason")
    return {**{name: context[name] for name in names}, "spans": [span._asdict() for span in spans]}


def _score(score: Row) -> Json:
    """Token by token, in nats."""
    names = ("teacher", "teacher_version", "policy_version", "advantage", "distill")
    logps = {"student": "proximal_logprobs", "teacher_logps": "teacher_logprobs", "reference": "reference_logprobs"}
    return {
        **{name: score[name] for name in names},
        **{name: rounded(score[column], DIGITS) for name, column in logps.items()},
    }


def _why_untrained(trained: dict[int, Row | None], sample: int, settings: Settings | None) -> str | None:
    """Why the objective gives the rollout's tokens no loss; None where it does. `trained`: what training has of each
    rollout of the group."""
    if settings is None:
        return UNREADABLE
    row = trained[sample]
    if row is None:
        return "not scored"
    return why_no_loss(row, [other for other in trained.values() if other is not None], settings.train)


def _training_row(group: GroupRows, sample: int) -> Row | None:
    rollout, score = group.of("rollouts")[sample], group.of("scores").get(sample)
    verdict = group.of("verdicts").get(sample, {"reward": None, "success": None})
    if score is None:
        return None
    judged = {name: verdict[name] for name in ("reward", "success")}
    scored = {name: score[name] for name in ("advantage", "distill")}
    return {"num_tokens": len(rollout["token_ids"]), "finish_reason": rollout["finish_reason"], **judged, **scored}


def _why_no_top(score: Row | None, settings: Settings | None) -> str | None:
    """What is missing of the models' distributions, and which setting keeps it; None where nothing is."""
    if score is None:
        return "not scored"
    if score["support_ids"] is None:
        if settings is None:
            return UNREADABLE
        if settings.train.objective.kind == "distill" and settings.score.support == "full":
            return "score.support is full: no distribution is kept beside the sampled tokens"
        return f"{settings.train.objective.kind} needs no distributions here: only the sampled tokens' are kept"
    if score["support_student_logprobs"] is None:
        return "of the student only the sampled tokens are kept (score.keep_student, score.support)"
    return None
