"""What worker processes do for an evaluation: look at models, sample with one, judge what it said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.execute.jobs.rounds import LoadedEngine, sample_prompts
from flows.execute.work import Rows, Work
from flows.folder.inputs import check_sampling, check_sandbox
from flows.folder.policies import policy_folder
from flows.measure.eval.plan import EvalPlan, Model
from flows.measure.eval.request import NamedModel
from flows.runtime.messages import Report
from mopd.errors import InputError
from mopd.models.chat_template import ChatTemplate, load_chat_template
from mopd.settings import Settings
from mopd.tasks.task import Task
from storage.runs import RunFolder


def check_models(
    _: None, report: Report, models: Sequence[NamedModel], tasks: list[Task], settings: Settings
) -> list[Model]:
    """Where the models lie and what they hash to. Raises InputError or StorageError for what would fail later."""
    check_sandbox(tasks, settings)
    return [_check_model(model, tasks, settings) for model in models]


def load_model_engine(folder: RunFolder, name: str) -> LoadedEngine:
    """The engine with a model of the evaluation."""
    from mopd.engines import make_engine

    plan = EvalPlan.of(folder)
    settings, path = plan.settings, Path(plan.models[name].folder)
    return LoadedEngine(make_engine(settings.generate, settings.model, path), load_chat_template(path, settings.model))


def sample_model(loaded: LoadedEngine, work: Work) -> Rows:
    """Prompts -> samples, not judged yet."""
    return sample_prompts(loaded, work, policy_version=EvalPlan.of(work.folder).models[work.shard.name].version)


def _check_model(model: NamedModel, tasks: list[Task], settings: Settings) -> Model:
    from mopd.models.folders import model_digest, resolve_model
    from mopd.models.formats import check_weights_format

    if model.run is None:
        folder = resolve_model(model.text, setting="model")
        check_weights_format(folder, "model", allow_pickled=settings.model.allow_pickled_weights)
    else:
        folder = policy_folder(model.run, model.version)
    digest = model_digest(folder)
    if model.run is not None and not model.version and digest != model.run.document["model_digest"]:
        raise InputError(f"{model.text}: the model {folder} changed since the run was made; restore it")
    _check_prompts(model.text, folder, tasks, settings)
    return Model(name=model.name, source=model.source, folder=str(folder), digest=digest, version=model.version)


def _check_prompts(model: str, folder: Path, tasks: list[Task], settings: Settings) -> None:
    """Every prompt under the model's chat template, with the longest response, must fit into its window; stops must be
    the model's."""
    from mopd.generate import prompt_ids
    from mopd.models.folders import model_window

    template, room = _checked_template(model, folder, settings), model_window(folder) - settings.generate.max_tokens
    check_sampling(settings, template.tokenizer)
    if room < 1:
        raise InputError(
            f"{model}: generate.max_tokens: {settings.generate.max_tokens} leaves no room in its window of "
            f"{model_window(folder)} tokens; lower it"
        )
    for task in tasks:
        prompt = {"prompt_id": task.id, "messages": task.messages}
        try:
            ids = prompt_ids(prompt, template, settings.generate.max_prompt_tokens)
        except InputError as error:
            raise InputError(f"{model}: {error}") from error
        if len(ids) > room:
            raise InputError(
                f"{model}: prompt {task.id}: {len(ids)} tokens, and its window leaves room for {room} beside "
                f"generate.max_tokens: {settings.generate.max_tokens}; lower that setting, or leave the task out"
            )


def _checked_template(model: str, folder: Path, settings: Settings) -> ChatTemplate:
    try:
        template = load_chat_template(folder, settings.model)
        template.check()
    except InputError as error:
        raise InputError(f"{model}: {error}") from error
    return template
