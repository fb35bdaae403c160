"""Jobs that measure: signals, replies under a context, the choice among candidates, what other verdicts change."""

from __future__ import annotations

from collections.abc import Sequence

from flows.execute.chosen import condition_of, publish_chosen
from flows.execute.jobs.rounds import LoadedEngine, judge_rows, load_engine
from flows.execute.work import Rows, Work, read_shard
from flows.plan.shard import Shard
from mopd.contexts.summaries import instruction_of
from mopd.measures.rejudged import CONTEXT_COLUMNS as COMPARED_COLUMNS
from mopd.measures.rejudged import VERDICT_COLUMNS, Judged, rejudged_rows
from mopd.settings import Settings
from mopd.settings.condition import AutoVariant
from storage.runs import RunFolder
from storage.shards import Manifest

OUTCOME = ("prompt_id", "sample", "success")
CONTEXT_COLUMNS = ("run", "round", "prompt_id", "sample", "peers", "num_tokens", "truncated")
SCORE_COLUMNS = (
    *("prompt_id", "sample", "teacher", "teacher_version"),
    *("mean_teacher_logprob", "teacher_logprobs", "proximal_logprobs"),
)


def measure(_: None, work: Work) -> Rows | Manifest:
    """scores (with the verdicts and contexts that they stand beside) -> signals."""
    from mopd.measures.signals import signal_rows

    published = publish_chosen(work)
    if published is not None:
        return published
    return signal_rows(
        work.read("verdicts", ("prompt_id", "sample", "reward", "success")),
        work.read("contexts", CONTEXT_COLUMNS),
        work.read("scores", SCORE_COLUMNS),
        condition_of(work.folder, work.shard.input("contexts")).variant,
    )


def load_answerer(folder: RunFolder, settings: Settings, version: int) -> LoadedEngine:
    """The engine with policy `version`, with room for a context before the reply."""
    room = {"max_prompt_tokens": settings.condition.max_context_tokens}
    return load_engine(folder, settings, version, settings.generate.model_copy(update=room))


def answer(loaded: LoadedEngine, work: Work) -> Rows:
    """contexts -> what the student replies under them, not judged yet."""
    from mopd.measures.probe import answer

    contexts = work.read("contexts")
    return answer(
        contexts,
        loaded.engine,
        loaded.template,
        work.settings.generate,
        seed=work.settings.seed,
        policy_version=work.shard.round,
        progress=work.progress(len(contexts), "answers"),
    )


def judge_answers(samples: Rows, work: Work) -> Rows:
    """Answers with verdicts."""
    from mopd.measures.probe import ANSWER_COLUMNS

    summarized = bool(instruction_of(work.settings))
    return judge_rows(work.read("prompts"), samples, work.settings, columns=ANSWER_COLUMNS, summarized=summarized)


def rejudge(_: None, work: Work) -> Rows:
    """Verdicts of the run and of another verifier (and the contexts made under each) -> rejudged."""
    inputs = {table: [one for one in work.shard.inputs if one.table == table] for table in ("verdicts", "contexts")}
    pairs = zip(inputs["verdicts"], inputs["contexts"] or (None, None), strict=True)
    return rejudged_rows(
        work.read("prompts", ("prompt_id", "dataset", "verifier")),
        *(_read_judged(work, verdicts, contexts) for verdicts, contexts in pairs),
        normalize_std=work.settings.train.normalize_advantage_std,
    )


def _read_judged(work: Work, verdicts: Shard, contexts: Shard | None) -> Judged:
    return Judged(
        read_shard(work.folder, verdicts, VERDICT_COLUMNS),
        None if contexts is None else read_shard(work.folder, contexts, COMPARED_COLUMNS),
        verdicts.settings.verify.judge_of,
    )


def choose(_: None, work: Work) -> Rows:
    """signals and answers of all candidates (and the verdicts before them) -> choices."""
    from mopd.measures.probe import choice_rows

    shard, settings = work.shard, work.settings
    variant = settings.condition.variant
    assert isinstance(variant, AutoVariant), "only a probe chooses"
    verdict_shards = {verdicts.key: verdicts for verdicts in (inputs.input("verdicts") for inputs in shard.inputs)}
    judged = [row for verdicts in verdict_shards.values() for row in read_shard(work.folder, verdicts, OUTCOME)]
    candidates = {candidate.name: candidate for candidate in variant.choices()}
    return choice_rows(
        {name: (_read(work, "signals", name), _read(work, "answers", name, OUTCOME)) for name in candidates},
        judged,
        conditions={
            name: candidate.condition(settings.condition).model_dump_json() for name, candidate in candidates.items()
        },
        run=work.folder.run_id,
        round=shard.round,
        num_samples=settings.evaluate.bootstrap_samples,
        seed=settings.seed,
    )


def _read(work: Work, table: str, name: str, columns: Sequence[str] | None = None) -> Rows:
    """The rows of one candidate."""
    shards = [shard for shard in work.shard.inputs if (shard.table, shard.name) == (table, name)]
    return [row for shard in shards for row in read_shard(work.folder, shard, columns)]
