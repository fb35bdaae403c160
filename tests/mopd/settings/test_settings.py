"""Settings: every shipped config parses, and nonsense is refused in one line that names the fix."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mopd.errors import InputError
from mopd.settings import Settings, load_settings, parse_settings
from mopd.settings.objective import BehaviorImportance, DistillObjective, DpoObjective, GrpoObjective
from mopd.settings.teacher import EmaTeacher

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted(path for path in (ROOT / "examples").rglob("*.yaml") if path.parent.name != "cluster")


def config(folder: Path, text: str = "rounds: 2\n") -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_parses(path: Path) -> None:
    assert load_settings(path).rounds >= 1


def test_there_are_examples() -> None:
    assert {"tiny", "demo"} <= {path.stem for path in EXAMPLES}


def test_defaults_are_the_papers() -> None:
    settings = Settings()
    assert (settings.generate.num_prompts, settings.generate.num_samples) == (32, 8)
    assert (settings.condition.variant.kind, settings.condition.max_context_tokens) == ("contrastive", 10240)
    assert (settings.score.top_k, settings.train.importance) == (100, BehaviorImportance(clip=2.0))
    assert (settings.train.learning_rate, settings.train.warmup_steps, settings.train.weight_decay) == (1e-5, 10, 0.01)
    assert settings.train.objective == DistillObjective(kind="distill", alpha=0.5, policy_gradient_weight=0.0)
    assert settings.train.teacher == EmaTeacher(kind="ema", rate=0.05)


def test_overrides_are_read_as_yaml(tmp_path: Path) -> None:
    overrides = ["train.learning_rate=1e-5", "tasks.questions=[sum, product]", "evaluate.when=never", "rounds=3"]
    settings = load_settings(config(tmp_path), overrides)
    assert settings.train.learning_rate == 1e-5
    assert settings.tasks.questions == ("sum", "product")  # type: ignore[union-attr]
    assert (settings.evaluate.when, settings.rounds) == ("never", 3)


@pytest.mark.parametrize(
    ("text", "override", "objective"),
    [
        ("", "train.objective=grpo", GrpoObjective(kind="grpo")),
        ("", "train.objective.alpha=1.0", DistillObjective(alpha=1.0)),
        ("train: {objective: dpo}", "train.objective.beta=0.5", DpoObjective(kind="dpo", beta=0.5)),
        ("train: {objective: {alpha: 0.3}}", "train.objective=dpo", DpoObjective(kind="dpo")),
    ],
)
def test_a_choice_is_given_by_its_kind_or_by_its_values(
    tmp_path: Path, text: str, override: str, objective: object
) -> None:
    assert load_settings(config(tmp_path, text), [override]).train.objective == objective


def test_pairs_need_two_rollouts(tmp_path: Path) -> None:
    alone = ["generate.num_samples=1", "condition.variant=none", "train.objective=dpo"]
    with pytest.raises(InputError, match=r"train.objective: dpo compares the rollouts of a prompt"):
        load_settings(config(tmp_path), alone)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().seed = 1


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.lerning_rate=1", "train.lerning_rate: no such setting"),
        ("rounds=0", "rounds: .*greater than or equal to 1.*got 0"),
        ("train.objective.alpha=1.5", "train.objective.alpha: .*less than or equal to 1"),
        ("condition.variant=contrast", "condition.variant: 'contrast' is unknown; choose one of auto, contrastive"),
        ("generate.num_samples=1", "generate.num_samples: 1 leaves no peers"),
        ("condition.max_context_tokens=100", "max_context_tokens is below generate.max_prompt_tokens"),
        ("train.shard=full", "train.shard: full .* there is one; raise train.ranks"),
        ("train={ranks: 2, shard: full, lora: {}}", "train.shard: full .*; set train.lora to null, or shard to none"),
        ("train={ranks: 2, shard: full, optimizer: adamw_8bit}", "set train.optimizer to adamw, or"),
        ("train={ranks: 2, shard: full, master_weights: bfloat16}", "set train.master_weights to float32, or"),
        ("train.ranks=0", "train.ranks: .*greater than or equal to 1"),
        ("train.updates_per_round=64", "train.updates_per_round: 64 .*generate.num_prompts"),
        ("train", "--set train: write it as key.subkey=value"),
        ("rounds.x=1", "--set rounds.x=1: rounds is a value"),
        ("generate.engine=sglang", "generate.engine: Input should be 'vllm', 'transformers' or 'fake'"),
        ("verify.success_threshold=.nan", "verify.success_threshold: .*finite number"),
        ("train.learning_rate=.inf", "train.learning_rate: .*finite number"),
        ("train.betas=[1.0, 0.999]", "train.betas.0: .*less than 1"),
        ("generate.temperature=1e-45", "generate.temperature: .*greater than or equal to 0.01"),
        ("rounds=1000000000000", "rounds: .*less than or equal to 100000"),
        (
            "train.objective=ppo",
            "train.objective: 'ppo' is unknown; choose one of distill, dpo, grpo, mopd, opd, opsd, sd",
        ),
        ("train.objective={kind: sft, alpha: 0.5}", "train.objective.alpha: no such setting"),
        ("train.objective.form=sampled_token", "train.objective: .*reverse KL and alpha is 0.5; set alpha to 1.0"),
        ("train.objective={kind: dpo, beta: 0}", "train.objective.beta: .*greater than 0"),
        ("train.objective={kind: simpo, label_smoothing: 0.5}", "train.objective.label_smoothing: .*less than 0.5"),
        ("train.objective={kind: grpo, clip: 1}", "train.objective.clip: .*less than 1"),
        ("train.importance=sampler", "train.importance: 'sampler' is unknown; choose one of behavior"),
        ("train.importance={kind: none, clip: 2}", "train.importance.clip: no such setting"),
        ("train.aggregation={kind: token_mean, separator: x}", "train.aggregation.separator: no such setting"),
        ("train.max_staleness=-1", "train.max_staleness: .*greater than or equal to 0"),
        ("guards.entropy=1.5", r"guards.entropy: .*less than 1"),
        ("guards.long_replies=0.5", r"guards.long_replies: .*greater than 1"),
        ("guards.on_breach=panic", r"guards.on_breach: Input should be 'warn'"),
        (
            "guards.on_breach_of.length=stop",
            r"guards: on_breach_of: 'length' is unknown; choose one of success_groups,",
        ),
        (
            "guards.on_breach_of.pass_rate=stop",
            r"guards: on_breach_of: pass_rate has no bound, .*; set guards.pass_rate",
        ),
        ("generate.stop_token_ids=3", r"generate.stop_token_ids: Input should be a list \(got 3\)"),
        ("place.devices=0", r": place.devices: Input should be 'auto' or greater than or equal to 1 \(got 0\)$"),
        ("place=2", r"place: choose one of local, ray, or give its settings \(got 2\)"),
        ("generate={num_samples: 0, num_prompts: 0}", r"num_prompts: .* 1 \(got 0\); .*num_samples: .* 1 \(got 0\)"),
        ("tasks.kind=files", "tasks: a mapping with kind 'numbers' or kind 'file'"),
    ],
)
def test_nonsense_is_refused_in_one_line(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        load_settings(config(tmp_path), [override])
    assert "\n" not in str(caught.value)


def test_an_end_that_could_never_come_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"guards.on_breach_of: accuracy is that of evaluations and evaluate.when is"):
        load_settings(config(tmp_path), ["guards.on_breach_of.accuracy=stop", "evaluate.when=never"])


def test_what_is_refused_is_not_repeated_where_it_is_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"leave them out or set engine to vllm$"):
        load_settings(config(tmp_path), ["generate.engine=fake", f"generate.engine_arguments.x={'x' * 80}"])


@pytest.mark.parametrize(
    ("text", "said"),
    [("rounds: [", "not valid YAML"), ("- 1\n", "must be a mapping of settings"), ("train:\n", "train: ")],
)
def test_broken_files_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = config(tmp_path, text)
    with pytest.raises(InputError, match=said) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.yaml: cannot be read \(No such file"):
        load_settings(tmp_path / "nowhere.yaml")


def test_the_settings_page_is_up_to_date_and_explains_everything() -> None:
    script = ROOT / "tools" / "settings_page.py"
    assert subprocess.run([sys.executable, script, "--check"]).returncode == 0, "run `make docs`"
    assert "|  |" not in (ROOT / "docs" / "settings.md").read_text()


def test_resolved_settings_read_back_equal() -> None:
    settings = parse_settings({"train": {"objective": {"policy_gradient_weight": 0.3}}})
    assert parse_settings(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(("text", "value"), [("on", "on"), ("off", "off"), ("auto", "auto"), ("'on'", "on")])
def test_a_switch_may_be_written_without_quotes(text: str, value: str) -> None:
    tree = yaml.safe_load(f"train: {{gradient_checkpointing: {text}}}")
    assert parse_settings(tree).train.gradient_checkpointing == value


@pytest.mark.parametrize(
    ("arguments", "num_devices"),
    [
        ({}, 1),
        ({"tensor_parallel_size": 4}, 4),
        ({"tensor_parallel_size": 2, "pipeline_parallel_size": 3}, 6),
    ],
)
def test_an_engine_takes_so_many_devices(arguments: dict[str, int], num_devices: int) -> None:
    assert parse_settings({"generate": {"engine_arguments": arguments}}).generate.num_devices == num_devices


@pytest.mark.parametrize("size", [0, True, "two", 1.5])
def test_a_number_of_devices_is_a_number(size: Any) -> None:
    with pytest.raises(InputError, match=r"tensor_parallel_size: .* is no number of devices; give 1 or more"):
        parse_settings({"generate": {"engine_arguments": {"tensor_parallel_size": size}}})


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("cloud", r"place: 'cloud' is unknown; choose one of local, ray"),
        ({"devices": 0}, r"place\.devices"),
        ({"devices": "all"}, r"place\.devices"),
        ({"replicas": {"train": 2}}, r"place\.replicas"),
        ({"replicas": {"score": 0}}, r"place\.replicas\.score"),
        ({"silence_seconds": 0}, r"place\.silence_seconds"),
    ],
)
def test_a_place_that_is_none_is_refused(place: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_settings({"place": place})
