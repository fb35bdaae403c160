"""MLflow: a run of an experiment, on the server or in the store that `MLFLOW_TRACKING_URI` names.

A database keeps a point once, however often it is sent: each has the time at which it was made.
"""

from __future__ import annotations

import json

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run

from flows.trackers.tracker import COLUMNS, COMPLETIONS, Chapter, Row, TrackedRun

ID_TAG = "mopd_id"
"""Of a run: the one in MLflow gets its id there."""
MOST_METRICS, MOST_PARAMS = 1000, 100
"""That MLflow takes at once."""


class MLflow:
    """A run there, found by its tag or made."""

    def __init__(self, run: TrackedRun) -> None:
        self._client = MlflowClient()
        existing = self._find_or_create(run)
        self._id = existing.info.run_id
        self._client.update_run(self._id, status="RUNNING")
        self._add_settings(run.settings, existing.data.params)

    def write(self, chapter: Chapter) -> None:
        """Its points as metrics, its completions as an artifact of its own."""
        milliseconds = round(1000 * chapter.seconds)
        pairs = [(point.step, name, value) for point in chapter.points for name, value in point.values.items()]
        metrics = [Metric(name, value, milliseconds, step) for step, name, value in pairs]
        for first in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self._id, metrics[first : first + MOST_METRICS])
        if chapter.completions:
            table = {"columns": COLUMNS, "data": chapter.table}
            self._client.log_dict(self._id, table, f"{COMPLETIONS}/round-{chapter.round:04d}.json")

    def close(self) -> None:
        """Until there is more."""
        self._client.set_terminated(self._id)

    def _find_or_create(self, run: TrackedRun) -> Run:
        experiment = self._client.get_experiment_by_name(run.project)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(run.project)
        tagged = self._client.search_runs([experiment_id], f"tags.{ID_TAG} = '{run.id}'")
        return tagged[0] if tagged else self._client.create_run(experiment_id, run_name=run.name, tags={ID_TAG: run.id})

    def _add_settings(self, settings: Row, known: dict[str, str]) -> None:
        """As parameters, which stay what they were first; `settings.json` has what they are now."""
        params = [Param(name, json.dumps(value)) for name, value in settings.items() if name not in known]
        for first in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(self._id, params=params[first : first + MOST_PARAMS])
        self._client.log_dict(self._id, settings, "settings.json")
