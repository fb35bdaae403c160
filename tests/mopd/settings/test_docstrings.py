"""Settings are explained where they are asked for: in a form of Prefect's, and on the page of settings."""

from __future__ import annotations

from mopd.settings import Settings
from mopd.settings.docstrings import docstrings
from mopd.settings.evaluate import EvaluateSettings


def test_a_class_says_what_its_bases_say_too() -> None:
    said = docstrings(EvaluateSettings)
    assert said.keys() == EvaluateSettings.model_fields.keys()


def test_schemas_have_them_at_any_depth() -> None:
    schema = Settings.model_json_schema()
    assert schema["properties"]["shard_retries"]["description"] == docstrings(Settings)["shard_retries"]
    train = schema["$defs"]["TrainSettings"]["properties"]
    assert all("description" in train[name] for name in ("learning_rate", "updates_per_round"))
