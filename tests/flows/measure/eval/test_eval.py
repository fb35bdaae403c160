"""What `mopd eval` is asked for, the keys of its shards, what continues and what is refused, and its numbers."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.folder.open import run_lock
from flows.measure.eval.flow import EVALUATE_MODEL
from flows.measure.eval.jobs import check_models, load_model_engine
from flows.measure.eval.plan import EvalPlan
from flows.measure.eval.prepare import Prepared, is_finished, model_names, note_request, open_evaluation
from flows.measure.eval.request import EvalRequest, find_model, resolve
from flows.measure.eval.results import eval_report, read_results, result_table, write_results
from flows.measure.eval.settings import eval_settings
from flows.plan.run import DIGESTS
from flows.report.table import estimate_in
from mopd.errors import InputError
from mopd.measures.estimate import UNDEFINED
from mopd.models.folders import resolve_model
from mopd.tasks.draw import prompt_rows
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.shards import commit_shard, read_rows
from storage.sql.catalog import query
from tests.flows.plan.test_plan import SMALL, commit, finish, plan_of, run_of
from tests.flows.rounds_by_jobs import make
from tests.storage.storage_samples import columns_of

TASKS = [
    {"id": name, "prompt": f"Which is larger, {n} or 9?", "answer": "9", "verifier": "last_number", "dataset": "own"}
    for n, name in enumerate("abc")
]
FAKE = ("generate.engine=fake", "generate.max_tokens=32", "prompts_per_shard=2")
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The hash of no source, which a run with generated tasks has."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three tasks: two shards."""
    path = tmp_path / "tasks.jsonl"
    path.write_text("\n".join(map(json.dumps, TASKS)))
    return path


@pytest.fixture
def asked(source: Path) -> Callable[..., EvalRequest]:
    def request(*models: str, **changes: Any) -> EvalRequest:
        return replace(EvalRequest(models or ("tiny:llama",), str(source), k=2, overrides=FAKE), **changes)

    return request


def prepared(request: EvalRequest) -> Prepared:
    """As `prepare` has it, in this process."""
    resolve.cache_clear()
    found = resolve(request)
    return Prepared(found, check_models(None, print, found.models, found.tasks, found.settings), {})


def finished_run(path: Path, changes: dict[str, Any]) -> RunFolder:
    """A run with generated tasks."""
    plan = plan_of({**SMALL, **changes}, tasks_digest=NOTHING)
    digests = {name: getattr(plan, name) for name in DIGESTS}
    folder = RunFolder.create(path, {"settings": plan.settings.model_dump(mode="json"), **digests})
    finish(folder, plan)
    return folder


def copies(folder: Path, *names: str) -> list[str]:
    """Models like `tiny:llama`, with other bytes each."""
    for name in names:
        shutil.copytree(resolve_model("tiny:llama"), folder / name)
        config = json.loads((folder / name / "config.json").read_text())
        (folder / name / "config.json").write_text(json.dumps({**config, "_name": name}))
    return [str(folder / name) for name in names]


def draw(folder: RunFolder, found: Prepared) -> EvalPlan:
    """Commit the prompts, and return the plan."""
    plan = EvalPlan.of(folder)
    for shard in plan.prompts:
        tasks = found.resolved.tasks[shard.shard * 2 :][:2]
        rows = prompt_rows(tasks, run=folder.run_id, round=0, split="heldout")
        commit_shard(folder, "prompts", round=0, shard=shard.shard, key=shard.key, rows=rows, parents=[], info={})
    return plan


def evaluate(folder: RunFolder, plan: EvalPlan, name: str, only: int | None = None) -> None:
    """All shards of a model, or one, by the jobs of worker processes."""
    loaded = load_model_engine(folder, name)
    for shard in plan.of_model(name).evaluations:
        if only in (None, shard.shard):
            make(EVALUATE_MODEL, folder, shard, loaded)


def test_models_are_named_after_their_last_part(tmp_path: Path) -> None:
    (path,) = copies(tmp_path, "Some Model")
    assert find_model("embedded:smollm2-135m-instruct").name == "smollm2-135m-instruct"
    assert find_model(f"{path}/").name == "Some-Model"
    assert find_model(f"{path}/").source == path


def test_runs_are_named_with_the_number_of_their_policy(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "first")
    finish(folder, plan)
    assert [(one.name, one.version) for one in map(find_model, [str(folder.path), f"{folder.path}@0"])] == [
        ("first@2", 2),
        ("first@0", 0),
    ]
    assert find_model(str(folder.path)).source == find_model(f"{folder.path}@2").source == f"{folder.path}@2"


@pytest.mark.parametrize("text", ["{run}@3", "{run}@-1", "{run}@x", "{run}@"])
def test_a_policy_that_a_run_will_never_have(tmp_path: Path, text: str) -> None:
    folder, _ = run_of(tmp_path / "run")
    with pytest.raises(InputError, match=r"has policies 0 to 2 \(0 is the initial model\); name one of them"):
        find_model(text.format(run=folder.path))


def test_a_policy_that_is_not_trained_yet(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run")
    for shard in plan.rounds[0].all():
        commit(folder, shard)
    assert find_model(f"{folder.path}@1").version == 1
    for text in (str(folder.path), f"{folder.path}@2"):
        with pytest.raises(InputError, match=r"policy 2 is not trained yet; mopd run .*, e\.g\. .*run@1$"):
            find_model(text)


def test_the_held_out_tasks_of_a_run_at_its_settings(tmp_path: Path) -> None:
    changes = {"generate.temperature": 0.7, "evaluate.temperature": 0.3, "tasks": {"num_heldout": 5}}
    folder = finished_run(tmp_path / "run", changes)
    found = resolve(EvalRequest((str(folder.path),), overrides=("seed=9",)))
    assert {task.verifier for task in found.tasks} == {"last_number"}
    assert len(found.tasks) == 5
    assert found.described == {"heldout_of": str(folder.path), "limit": None}
    assert (found.settings.seed, found.settings.evaluate.num_samples, found.settings.generate.temperature) == (
        9,
        8,
        0.3,
    )
    warm = resolve(EvalRequest((str(folder.path),), overrides=("generate.temperature=0.9",), limit=3))
    assert (warm.settings.generate.temperature, warm.settings.evaluate.temperature, len(warm.tasks)) == (0.9, None, 3)
    assert warm.tasks == resolve(EvalRequest((f"{folder.path}@0",))).tasks[:3]


def test_sampling_is_that_of_the_runs_evaluation(tmp_path: Path) -> None:
    """Temperature 0, which rollouts can't have, is kept as evaluation's; both spellings are taken."""
    sampling = {"generate.top_p": 0.9, "generate.stop": ["x"], "evaluate.top_p": 0.5, "evaluate.max_tokens": 9}
    run = str(finished_run(tmp_path / "run", {**sampling, "evaluate.temperature": 0}).path)

    def sampled(*overrides: str) -> tuple[Any, ...]:
        chosen = resolve(EvalRequest((run,), overrides=overrides)).settings
        assert eval_settings(chosen, (), 8) == chosen
        own = chosen.evaluation_sampling
        return own.temperature, own.top_p, own.max_tokens, own.stop

    assert sampled() == (0.0, 0.5, 9, ("x",))
    assert sampled("generate.temperature=0.6", "generate.top_p=1", "generate.stop=[]") == (0.6, 1.0, 9, ())
    assert sampled("generate.temperature=0") == sampled("evaluate.temperature=0") == sampled()


def test_runs_that_hold_out_other_tasks(tmp_path: Path) -> None:
    runs = [str(finished_run(tmp_path / f"run{seed}", {"seed": seed}).path) for seed in (0, 1)]
    with pytest.raises(InputError, match=r"run1: its held-out tasks are not those of .*run0; say by --tasks"):
        resolve(EvalRequest(tuple(runs)))
    assert len(resolve(EvalRequest(tuple(runs), tasks="numbers:sum?size=5")).tasks) == 5


def test_tasks_that_changed_since_the_run_was_made(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run")
    finish(folder, plan)
    with pytest.raises(InputError, match="the task source changed since the run was made; restore it, or give --tasks"):
        resolve(EvalRequest((str(folder.path),)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ()}, "name at least one model"),
        ({"models": ("nowhere",)}, "nowhere: no such model or run; give a folder in Hugging Face format"),
        ({"models": ("tiny:llama", "tiny:llama")}, "tiny:llama: is named twice"),
        ({"tasks": None}, "--tasks: is needed where no run is named"),
        ({"tasks": None, "verifier": "math"}, "--reader and --verifier: are for the source that --tasks names"),
        ({"tasks": "/no/such/file"}, "/no/such/file: cannot be read"),
        ({"verifier": "oracle"}, "'oracle' is unknown"),
        ({"limit": 0}, "--limit 0: give a number of at least 1"),
        ({"k": 0}, "-k 0: give a number of samples"),
        ({"overrides": ("evaluate.num_samples=3",)}, "is what -k says"),
        ({"overrides": ("train.learning_rate=1",)}, "--set train.learning_rate: decides nothing of an evaluation"),
        ({"overrides": ("generate.temperature=cold",)}, "generate.temperature: Input should be a valid number"),
        ({"overrides": ("verify.nonsense=1",)}, "verify.nonsense: no such setting"),
        ({"overrides": ("generate.max_tokens",)}, "write it as key.subkey=value"),
    ],
    ids=str,
)
def test_a_bad_request_is_one_line(asked: Callable[..., EvalRequest], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        resolve(asked(**changes))
    assert "\n" not in str(caught.value)


def test_an_empty_source_is_one_line(asked: Callable[..., EvalRequest], tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputError, match=r"empty\.jsonl: holds no task"):
        resolve(asked(tasks=str(tmp_path / "empty.jsonl")))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "generate.max_prompt_tokens=5",
            r"tiny:llama: prompt a: \d+ tokens, more than generate.max_prompt_tokens \(5\)",
        ),
        ("generate.max_tokens=8190", r"tiny:llama: prompt a: \d+ tokens, and its window leaves room for 2 beside"),
        ("generate.max_tokens=9000", "tiny:llama: generate.max_tokens: 9000 leaves no room in its window of 8192"),
    ],
)
def test_prompts_that_do_not_fit(asked: Callable[..., EvalRequest], setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepared(asked(overrides=(*FAKE, setting)))


def test_a_model_without_weights_or_without_a_chat_template(asked: Callable[..., EvalRequest], tmp_path: Path) -> None:
    bare, mute, stern = copies(tmp_path, "bare", "mute", "stern")
    next(Path(bare).glob("*.safetensors")).unlink()
    with pytest.raises(InputError, match=r"bare has no weights; give a folder in Hugging Face format"):
        prepared(asked(bare))
    (Path(mute) / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match=r"mute: the tokenizer has no chat template; use an instruction-tuned model"):
        prepared(asked(mute))
    (Path(stern) / "chat_template.jinja").write_text("{{ raise_exception('no questions') }}")
    with pytest.raises(InputError, match=r"stern: the model's chat template refuses messages of user \(no questions\)"):
        prepared(asked(stern))


def test_the_folder_says_what_it_was_made_of(asked: Callable[..., EvalRequest], source: Path, tmp_path: Path) -> None:
    found = prepared(asked())
    document = open_evaluation(found, tmp_path / "out").document
    assert document["tasks"] == {"source": str(source), "reader": None, "verifier": None, "limit": None}
    assert (document["kind"], document["num_tasks"], document["run_id"]) == ("evaluation", 3, "out")
    assert document["models"] == [
        {
            "name": "llama",
            "source": "tiny:llama",
            "folder": str(resolve_model("tiny:llama")),
            "digest": found.models[0].digest,
            "version": 0,
        }
    ]
    assert {"versions", "code_revision"} <= document.keys()


def test_models_of_one_name_get_names_of_their_own(asked: Callable[..., EvalRequest], tmp_path: Path) -> None:
    models = [copies(tmp_path / place, name)[0] for place, name in (("a", "Base"), ("b", "base"), ("c", "base"))]
    found = prepared(asked(*models))
    folder = open_evaluation(found, tmp_path / "out")
    assert model_names(folder, found) == ["Base", "base-2", "base-3"]
    other = prepared(asked(models[2], models[0]))
    assert model_names(note_request(folder, other), other) == ["base-3", "Base"]


def keys(plan: EvalPlan, name: str = "llama") -> tuple[list[str], list[str]]:
    part = plan.of_model(name)
    return [one.key for one in part.prompts], [one.key for one in part.evaluations]


@pytest.mark.parametrize(
    ("changes", "prompts_differ", "samples_differ"),
    [
        ({}, False, False),
        ({"k": 3}, False, True),
        ({"overrides": (*FAKE, "generate.temperature=0.5")}, False, True),
        ({"overrides": (*FAKE, "generate.max_tokens=33")}, False, True),
        ({"overrides": (*FAKE, "generate.temperature=0")}, False, True),
        ({"overrides": (*FAKE, "generate.min_p=0.1")}, False, True),
        ({"overrides": (*FAKE, "verify.success_threshold=0.5")}, False, True),
        ({"overrides": (*FAKE, "model.precision=float32")}, False, True),
        ({"overrides": (*FAKE, "seed=1")}, True, True),
        ({"overrides": (*FAKE, "prompts_per_shard=3")}, True, True),
        ({"limit": 2}, True, True),
        ({"verifier": "first_number"}, True, True),
        ({"overrides": (*FAKE, "generate.max_num_seqs=3")}, False, False),
        ({"overrides": (*FAKE, "shard_retries=9")}, False, False),
        ({"overrides": (*FAKE, "evaluate.bootstrap_samples=9")}, False, False),
        ({"overrides": (*FAKE, "verify.sandbox_slots=1")}, False, False),
    ],
    ids=str,
)
def test_keys_name_what_decides(
    asked: Callable[..., EvalRequest],
    tmp_path: Path,
    changes: dict[str, Any],
    prompts_differ: bool,
    samples_differ: bool,
) -> None:
    base = EvalPlan.of(open_evaluation(prepared(asked()), tmp_path / "base"))
    other = EvalPlan.of(open_evaluation(prepared(asked(**changes)), tmp_path / "other"))
    pairs = zip(keys(base), keys(other), strict=True)
    assert [set(one).isdisjoint(two) for one, two in pairs] == [prompts_differ, samples_differ]


def test_a_models_bytes_decide_its_keys_and_its_name_does_not(
    asked: Callable[..., EvalRequest], tmp_path: Path
) -> None:
    one, other = copies(tmp_path, "one", "other")
    twin = shutil.copytree(one, tmp_path / "twin")
    plan = EvalPlan.of(open_evaluation(prepared(asked(one, other, str(twin))), tmp_path / "out"))
    assert keys(plan, "one") == keys(plan, "twin")
    assert keys(plan, "one")[1] != keys(plan, "other")[1]
    assert [shard.name for shard in plan.of_model("twin").evaluations] == ["twin"] * 2


def test_shards_that_are_there_are_not_missing(asked: Callable[..., EvalRequest], tmp_path: Path) -> None:
    request = asked(*copies(tmp_path, "one", "other"))
    found = prepared(request)
    folder = open_evaluation(found, tmp_path / "out")
    plan = draw(folder, found)
    evaluate(folder, plan, "one")
    evaluate(folder, plan, "other", only=1)
    assert plan.missing(folder, ["one"]) == []
    assert [(one.table, one.name, one.shard) for one in plan.missing(folder, ["one", "other"])] == [
        ("evaluations", "other", 0)
    ]
    results = read_results(folder.path)
    assert [row["model"] for row in results.rows] == ["one"]
    assert results.unfinished == ["other: 1 of 2 shards, name it again"]
    evaluate(folder, plan, "other", only=0)
    with run_lock(folder):
        pass
    assert is_finished(folder, found)
    assert not is_finished(folder, prepared(asked(*request.models, "tiny:llama")))
    assert not is_finished(folder, prepared(asked(*request.models, overrides=(*FAKE, "shard_retries=7"))))


def test_another_model_and_settings_that_change_no_sample_go_into_the_folder(
    asked: Callable[..., EvalRequest], tmp_path: Path
) -> None:
    (one,) = copies(tmp_path, "one")
    folder = open_evaluation(prepared(asked(one)), tmp_path / "out")
    more = prepared(asked("tiny:llama", overrides=(*FAKE, "evaluate.bootstrap_samples=50")))
    assert open_evaluation(more, tmp_path / "out") == folder  # nothing is written before the folder is held
    here = note_request(folder, more)
    assert RunFolder.open(folder.path) == here
    assert list(EvalPlan.of(here).models) == ["one", "llama"]
    assert EvalPlan.of(here).settings.evaluate.bootstrap_samples == 50
    assert keys(EvalPlan.of(here), "one") == keys(EvalPlan.of(folder), "one")


def test_what_does_not_continue_is_one_line(asked: Callable[..., EvalRequest], source: Path, tmp_path: Path) -> None:
    (model,) = copies(tmp_path, "model")
    out = open_evaluation(prepared(asked(model)), tmp_path / "out").path
    before = (out / "run.json").read_bytes()
    with pytest.raises(StorageError, match=r"made with other settings: evaluate\.num_samples is 2 there, 3 here"):
        open_evaluation(prepared(asked(model, k=3)), out)
    with pytest.raises(InputError, match="was made with other tasks; give the same ones, or choose another --out"):
        open_evaluation(prepared(asked(model, limit=1)), out)
    (Path(model) / "config.json").write_text((Path(model) / "config.json").read_text() + " ")
    with pytest.raises(InputError, match="model: changed since it was evaluated; restore it, or choose another --out"):
        open_evaluation(prepared(asked(model)), out)
    folder, _ = run_of(tmp_path / "run")
    with pytest.raises(StorageError, match=r"was not made by mopd eval \(run.json has no models\); name another"):
        open_evaluation(prepared(asked(model)), folder.path)
    with pytest.raises(InputError, match="is not empty and is not an evaluation"):
        open_evaluation(prepared(asked(model)), source.parent)
    assert (out / "run.json").read_bytes() == before


def test_the_initial_model_of_a_run_is_what_it_was(asked: Callable[..., EvalRequest], tmp_path: Path) -> None:
    folder, _ = run_of(tmp_path / "run")
    with pytest.raises(InputError, match=r"run@0: the model .* changed since the run was made; restore it"):
        prepared(asked(f"{folder.path}@0"))


def test_models_answer_with_the_same_seeds(asked: Callable[..., EvalRequest], tmp_path: Path) -> None:
    """The fake engine goes by question and seed alone: paired models say the same."""
    found = prepared(asked(*copies(tmp_path, "one", "other")))
    found = replace(found, models=[found.models[0], replace(found.models[1], version=3)])
    folder = open_evaluation(found, tmp_path / "out")
    plan = draw(folder, found)
    for name in plan.models:
        evaluate(folder, plan, name)
    counted = "SELECT model, policy_version, count(*), count(DISTINCT seed) FROM evaluations GROUP BY ALL ORDER BY 1"
    assert query(folder, counted).rows == [("one", 0, 6, 6), ("other", 3, 6, 6)]
    assert query(folder, "SELECT count(DISTINCT (seed, text, success)) FROM evaluations").rows == [(6,)]
    results = read_results(folder.path)
    assert estimate_in(results.rows[1], "mean_difference").value == 0.0


def judged(folder: RunFolder, plan: EvalPlan, name: str, answers: dict[str, str]) -> None:
    """Commit samples: "9+" is a right answer, "9+!" one that was cut, ".-" none, "9?" one without a verdict."""
    for shard in plan.of_model(name).evaluations:
        prompts = [row["prompt_id"] for row in read_rows(folder, shard.input("prompts").find(folder))]
        rows = [
            {"run": folder.run_id, "round": 0, "prompt_id": prompt, "sample": sample}
            | columns_of("evaluations")
            | {"prediction": None if said[0] == "." else said[0], "success": {"+": True, "-": False}.get(said[1])}
            | {"finish_reason": "length" if said.endswith("!") else "stop"}
            for prompt in prompts
            for sample, said in enumerate(answers[prompt].split())
        ]
        place = {"round": 0, "shard": shard.shard, "key": shard.key, "parents": shard.parents(folder)}
        info = {"tokens": 10 * len(rows), "seconds": 1.5}
        commit_shard(folder, shard.table, **place, rows=rows, info=info)


@pytest.fixture
def results_folder(asked: Callable[..., EvalRequest], tmp_path: Path) -> Path:
    """Two models, k = 2."""
    found = prepared(asked(*copies(tmp_path, "one", "other")))
    folder = open_evaluation(found, tmp_path / "out")
    plan = draw(folder, found)
    judged(folder, plan, "one", {"a": "9+ 9+", "b": "9+ 8-!", "c": "8- .-!"})
    judged(folder, plan, "other", {"a": "9+ 8-", "b": "8- .-", "c": "9? 9+"})
    return folder.path


def test_numbers_and_paired_differences(results_folder: Path) -> None:
    results = read_results(results_folder)
    one, other = results.rows
    values = [{name: estimate_in(row, name).value for name in ("mean", "pass", "maj")} for row in (one, other)]
    assert values == [{"mean": 0.5, "pass": 2 / 3, "maj": 0.5}, {"mean": 0.5, "pass": 0.5, "maj": 0.25}]
    assert other["num_null"] == 1
    assert (estimate_in(other, "pass").num, estimate_in(other, "maj").num) == (2, 2)
    differences = {name: estimate_in(other, f"{name}_difference").value for name in ("mean", "pass", "maj")}
    assert differences == {"mean": pytest.approx((-0.5 - 0.5 + 1.0) / 3), "pass": -0.5, "maj": (-0.5 - 0.5) / 2}
    assert (one["mean_tokens"], one["cut_share"], one["seconds"]) == (10.0, 1 / 3, 3.0)
    assert one["mean_difference"] == UNDEFINED


def test_tables_say_what_was_counted(results_folder: Path) -> None:
    results = read_results(results_folder)
    assert [column.title for column in result_table(results).shown_columns] == [
        *("model", "prompts", "mean@2, %", "minus one", "pass@2, %", "minus one", "maj@2, %", "minus one"),
        *("tokens", "cut", "seconds", "nulls"),
    ]
    first, second = result_table(results).shown()
    assert (first["mean_difference"], first["cut_share"], first["num_null"]) == (None, "33.3 %", 0)
    assert str(second["maj"]).startswith("25.0 [")
    assert second["pass_difference"] == "-50.0 [-100.0, +0.0]"
    text, whole = eval_report(results).terminal(), eval_report(results).page()
    assert "3 prompts (" in text
    assert "2 samples at temperature 1, at most 32 tokens, fake, seed 0." in text
    assert "letter for letter" in text
    assert whole.startswith("# one against other\n")
    assert f"| other | {results.plan.models['other'].source} |" in whole


def test_csv_has_shares_and_blanks_where_undefined(results_folder: Path) -> None:
    first, second = csv.DictReader(io.StringIO(eval_report(read_results(results_folder)).numbers.csv()))
    assert (first["mean"], first["mean_difference"], second["pass_difference"]) == ("0.5", "", "-0.5")
    assert (second["maj"], second["num_null"], first["cut_share"]) == ("0.25", "1", str(1 / 3))


def test_without_answers_there_is_no_majority(asked: Callable[..., EvalRequest], tmp_path: Path) -> None:
    found = prepared(asked())
    folder = open_evaluation(found, tmp_path / "out")
    judged(folder, draw(folder, found), "llama", {"a": ".+ .+", "b": ".- .-", "c": ".+ .-"})
    results = read_results(folder.path)
    assert [one.title for one in result_table(results).columns if "@" in one.title] == ["mean@2, %", "pass@2, %"]
    report = eval_report(results)
    assert "maj@k:" not in report.terminal()
    (row,) = csv.DictReader(io.StringIO(report.numbers.csv()))
    assert (row["mean"], row["maj"]) == ("0.5", "")
    (figure,) = report.figures
    assert figure.png().startswith(b"\x89PNG")


def test_results_are_written_beside_the_tables(results_folder: Path) -> None:
    report = write_results(results_folder)
    assert (results_folder / "results.md").read_text() == report.page()
    assert (results_folder / "results.csv").read_text() == report.numbers.csv()
    assert (results_folder / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_evaluated_yet_is_said(asked: Callable[..., EvalRequest], tmp_path: Path) -> None:
    folder = open_evaluation(prepared(asked()), tmp_path / "out")
    report = write_results(folder.path)
    assert "nothing is evaluated to the end yet" in report.terminal()
    assert report.terminal().endswith("llama: 0 of 2 shards, name it again")
