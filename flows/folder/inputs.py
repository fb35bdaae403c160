"""What is checked before a run is created; runs in a worker process, because it loads a tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.runtime.messages import Report
from mopd.errors import InputError
from mopd.models.chat_template import ChatTemplate
from mopd.settings import Settings
from mopd.settings.teacher import ExternalTeacher
from mopd.tasks.task import Task, solution_of


def check_inputs(_: None, report: Report, settings: Settings, tasks_digest: str) -> dict[str, Any]:
    """Digests of model and tasks, numbers of tasks. Raises InputError for what would fail later."""
    from mopd.groups import num_further
    from mopd.models.chat_template import load_chat_template
    from mopd.models.folders import model_digest, model_window, resolve_model
    from mopd.models.teachers import check_teacher, teacher_sources
    from mopd.tasks.draw import draw_prompts, load_tasks

    tasks = load_tasks(settings.tasks, settings.seed, settings.verify)
    draw_prompts(
        tasks.train,
        run="",
        round=0,
        seed=settings.seed,
        num_prompts=settings.generate.num_prompts,
        num_further=num_further(settings.generate),
        split="train",
    )
    model = resolve_model(settings.model.path)
    check_weights(settings, model)
    teacher_digest = check_teacher(settings.train.teacher, model)
    teacher = teacher_sources(settings.train.teacher, policy_folder=model, state_folder=None, reference_folder=model)
    check_budgets(settings, window=model_window(model), teacher_window=model_window(teacher[0].folder))
    check_lora(settings, model)
    check_device(None, report, settings)
    template = load_chat_template(model, settings.model)
    template.check()
    check_sampling(settings, template.tokenizer)
    check_prompts([*tasks.train, *tasks.heldout], template, settings)
    check_solutions(tasks.train, settings)
    check_verifier([*tasks.train, *tasks.heldout], settings)
    check_sandbox([*tasks.train, *tasks.heldout], settings)
    return {
        "model_digest": model_digest(model),
        "teacher_digest": teacher_digest,
        "tasks_digest": tasks_digest,
        "num_train": len(tasks.train),
        "num_heldout": len(tasks.heldout),
    }


def check_device(_: None, report: Report, settings: Settings) -> None:
    """A run must fit into the memory there is, and its optimizer be had: that takes of a model its config alone.

    Of a cluster this host's device stands for all; where it has no GPU, those of the others are not known here.
    Raises InputError.
    """
    from mopd.memory.plan import check_memory
    from mopd.models.device import default_device
    from mopd.optimizers.make import check_optimizer

    device = default_device()
    is_known = settings.place.kind == "local" or device.type != "cpu"
    check_optimizer(settings, device if is_known else None)
    if is_known:
        check_memory(settings)


def check_weights(settings: Settings, model: Path) -> None:
    """Weights that are pickled are not opened unless that is allowed. Raises InputError."""
    from mopd.models.folders import resolve_model
    from mopd.models.formats import check_weights_format
    from mopd.models.teachers import EXTERNAL_PATH

    allowed, teacher = settings.model.allow_pickled_weights, settings.train.teacher
    check_weights_format(model, "model.path", allow_pickled=allowed)
    if isinstance(teacher, ExternalTeacher):
        check_weights_format(resolve_model(teacher.path, EXTERNAL_PATH), EXTERNAL_PATH, allow_pickled=allowed)


def check_budgets(settings: Settings, *, window: int, teacher_window: int) -> None:
    """What student and teacher read, with the response, must fit into their windows (in tokens)."""
    responses = {"generate.max_tokens": settings.generate.max_tokens}
    if settings.evaluate.max_tokens is not None:
        responses["evaluate.max_tokens"] = settings.evaluate.max_tokens
    teacher = "teacher" if settings.train.teacher.kind == "external" else "model"
    context = ("condition.max_context_tokens", settings.condition.max_context_tokens, teacher, teacher_window)
    prompt = ("generate.max_prompt_tokens", settings.generate.max_prompt_tokens, "model", window)
    for bound, response in responses.items():
        if response >= window:
            raise InputError(f"{bound}: {response} leaves no room in the model's window of {window}; lower it")
        for name, length, reader, room in [context, prompt] if bound == "generate.max_tokens" else [prompt]:
            if length + response > room:
                raise InputError(
                    f"{name}: {length} and {bound}: {response} exceed the {reader}'s window of {room}; "
                    f"set the first to at most {room - response}, or lower the second"
                )


def check_sampling(settings: Settings, tokenizer: Any) -> None:
    """Stops must be what can be sampled, arguments what the engine knows. Raises InputError."""
    from mopd.engines.stops import check_stops

    for name, sampling in (("generate", settings.generate), ("evaluate", settings.evaluation_sampling)):
        check_stops(sampling.stop, sampling.stop_token_ids, tokenizer, setting=name)
    if settings.generate.engine_arguments:
        from mopd.engines.vllm_engine import check_arguments

        check_arguments(settings.generate.engine_arguments)


def check_solutions(tasks: list[Task], settings: Settings) -> None:
    """A context that shows solutions is for tasks of which some have one. Raises InputError."""
    shown = any(condition.variant.kind == "reference" for condition in settings.condition.tried())
    if shown and not any(solution_of(task.metadata) for task in tasks):
        raise InputError(
            "condition.variant: reference shows a task's solution, and none of the tasks to train on has one; give "
            "them a field solution (docs/tasks.md), or choose another variant"
        )


def check_verifier(tasks: list[Task], settings: Settings) -> None:
    """What judges all tasks instead of their own verifiers can judge each of them. Raises InputError."""
    from mopd.verifiers import Problem
    from mopd.verify import check_problems

    problems = ((task.id, Problem(task.answer, task.tests, task.metadata)) for task in tasks)
    check_problems(problems, settings.verify)


def check_sandbox(tasks: list[Task], settings: Settings) -> None:
    """Code is run in a sandbox that works here, or the run does not begin."""
    from mopd.sandbox import open_sandbox
    from mopd.verifiers import find_verifier

    names = {settings.verify.judge_of(task.verifier) for task in tasks}
    if any(find_verifier(name).sandboxed for name in names):
        open_sandbox(settings.verify).close()


def check_lora(settings: Settings, model: Path) -> None:
    """Adapters are for layers that the model has. Raises InputError."""
    if settings.train.lora is not None:
        from mopd.models.lora import check_targets

        check_targets(model, settings.train.lora)


def check_adapter(_: None, report: Report, settings: Settings, policy: Path) -> None:
    """A policy that was trained goes on with the adapter that it has, if it has one. Raises InputError."""
    if settings.train.lora is not None:
        from mopd.models import lora

        lora.check_adapter(policy, settings.train.lora)


def check_prompts(tasks: list[Task], template: ChatTemplate, settings: Settings) -> None:
    """Every prompt must fit into the prompt budget; it then fits into the window and into the context budget. The chat
    template must take it, by itself and with peers."""
    from mopd.contexts.render import check_renderings
    from mopd.contexts.summaries import instruction_of
    from mopd.generate import prompt_ids

    instruction = instruction_of(settings)
    prompts = [{"prompt_id": task.id, "messages": task.messages} for task in tasks]
    for prompt in prompts:
        prompt_ids(prompt, template, settings.generate.max_prompt_tokens, instruction)
    for condition in settings.condition.tried():
        check_renderings(prompts, condition, template)
