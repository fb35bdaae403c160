"""All settings of a run, one class a part; `run` holds the tree, and reads it."""

from mopd.settings.evaluate import EvaluateSettings
from mopd.settings.generate import GenerateSettings
from mopd.settings.run import (
    ModelSettings,
    Settings,
    load_settings,
    override_tree,
    parse_settings,
)
from mopd.settings.train import TrainSettings

__all__ = [
    "EvaluateSettings",
    "GenerateSettings",
    "ModelSettings",
    "Settings",
    "TrainSettings",
    "load_settings",
    "override_tree",
    "parse_settings",
]
