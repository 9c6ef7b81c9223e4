"""Copy a logged model: its parameters, tags, metrics and files, in which its ids are replaced."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModel, LoggedModelStatus, Metric

from tinybench.tracking import store, tags
from tinybench.tracking.copying.artifact_folder import Rewrite, copy_files
from tinybench.tracking.copying.copied_content import Content, contains, hash_content
from tinybench.tracking.copying.copy_report import CopyReport
from tinybench.tracking.copying.id_map import IdMap
from tinybench.tracking.copying.store_side import StoreSide

DESCRIPTION_FILE = "MLmodel"
_MAX_METRICS_PER_CALL = 1000
_NOT_COPIED = (tags.MODEL_VERSIONS,)  # the target's server writes it


class LoggedModelCopy:
    """Copies logged models, after the runs that made them.

    Args:
        source: The store that has them.
        target: The store that gets them.
        ids: The ids of the copies, which are added as they are created.
        report: Is told how many files were copied, and which could not be.
    """

    def __init__(self, source: StoreSide, target: StoreSide, ids: IdMap, report: CopyReport) -> None:
        self._source = source
        self._target = target
        self._ids = ids
        self._report = report

    def create(self, model: LoggedModel, experiment_id: str, copies: Mapping[str, list[LoggedModel]]) -> None:
        """Note the copy of a model, which is created if the target has none.

        Args:
            model: The model in the source.
            experiment_id: Its experiment in the target.
            copies: The models of that experiment, as `list_model_copies` returns them.
        """
        original = model.tags.get(tags.COPIED_FROM)
        if original is not None and self._target.has_model(original):
            self._ids.models[model.model_id] = original
            self._ids.originals.add(model.model_id)
            return
        matching = copies.get(model.model_id) or copies.get(model.tags.get(tags.KEY, ""))
        copied = matching[0] if matching else self._create(model, experiment_id)
        self._ids.models[model.model_id] = copied.model_id
        self._ids.locations[model.artifact_location] = copied.artifact_location

    def _create(self, model: LoggedModel, experiment_id: str) -> LoggedModel:
        with store.without_retries():
            return self._target.client.create_logged_model(
                experiment_id,
                model.name,
                self._ids.runs.get(model.source_run_id or ""),
                {tags.COPIED_FROM: model.model_id},
                dict(model.params),
                model.model_type,
            )

    def fill(self, model_id: str) -> bool:
        """Copy everything of a model that the target lacks; return whether it was marked as complete before."""
        model = self._source.client.get_logged_model(model_id)
        copied = self._target.client.get_logged_model(self._ids.models[model_id])
        files, expected = self._source.files_of_model(model), describe_model(model, self._ids)
        complete_hash = hash_content({**expected, "file": files.list_files()})
        if copied.tags.get(tags.COPY_HASH) == complete_hash and contains(describe_model(copied), expected):
            return True
        self._send_values(copied, expected)
        self._link_metrics(model, copied, expected)
        count, problems = copy_files(files, self._target.files_of_model(copied), rewrite_ids(model, self._ids))
        if model.status in (LoggedModelStatus.READY, LoggedModelStatus.FAILED):
            self._target.client.finalize_logged_model(copied.model_id, model.status)
        self._report.artifacts += count
        self._report.problems += [f"Model {model_id}: {problem}" for problem in problems]
        if not problems:
            self._target.client.set_logged_model_tags(copied.model_id, {tags.COPY_HASH: complete_hash})
        return False

    def _send_values(self, copied: LoggedModel, expected: Content) -> None:
        """Log the parameters and tags that the copy lacks or has differently."""
        client = self._target.client
        params = {key: value for key, value in expected["parameter"].items() if key not in copied.params}
        changed = {key: value for key, value in expected["tag"].items() if copied.tags.get(key) != value}
        if params:
            client.log_model_params(copied.model_id, params)
        if changed:
            client.set_logged_model_tags(copied.model_id, changed)

    def _link_metrics(self, model: LoggedModel, copied: LoggedModel, expected: Content) -> None:
        """Link the points of the runs' metrics that belong to the model and are not linked yet."""
        present, by_run = describe_model(copied)["metric"], defaultdict(list)
        for metric in model.metrics or []:
            run_id = self._ids.runs.get(metric.run_id or "")
            if run_id is None or _name_metric(metric, run_id) in present:
                continue
            value = self._stored_value(metric)
            by_run[run_id].append(
                Metric(metric.key, value, metric.timestamp, metric.step, copied.model_id, metric.dataset_name,
                       metric.dataset_digest, run_id)
            )  # fmt: skip
        for run_id, metrics in by_run.items():
            for start in range(0, len(metrics), _MAX_METRICS_PER_CALL):
                self._target.client.log_batch(run_id, metrics[start : start + _MAX_METRICS_PER_CALL])

    def _stored_value(self, metric: Metric) -> float:
        """Return the value of a model's metric; NaN where MLflow, which links NaN as 0, has a NaN for the run."""
        if metric.value != 0:
            return float(metric.value)
        history = self._source.client.get_metric_history(metric.run_id, metric.key)
        points = [point.value for point in history if (point.step, point.timestamp) == (metric.step, metric.timestamp)]
        return 0.0 if 0 in points or not any(map(math.isnan, points)) else math.nan


def rewrite_ids(model: LoggedModel, ids: IdMap) -> Rewrite:
    """Return what puts the ids of the copies into the file `MLmodel` of a logged model."""

    def replace(path: str, file: Path) -> None:
        if path == DESCRIPTION_FILE:
            text = file.read_bytes().decode("utf-8", "surrogateescape")
            location = ids.locations.get(model.artifact_location, model.artifact_location)
            text = ids.rewrite(text.replace(model.artifact_location, location))
            file.write_bytes(text.encode("utf-8", "surrogateescape"))

    return replace


def list_model_copies(side: StoreSide, experiment_id: str) -> dict[str, list[LoggedModel]]:
    """Return the copies in an experiment, sorted by id, by the id of the source and by the key of the model."""
    copies: dict[str, list[LoggedModel]] = {}
    for model in sorted(side.models(experiment_id), key=lambda model: str(model.model_id)):
        for name in {model.tags.get(tags.COPIED_FROM), model.tags.get(tags.KEY)} - {None}:
            copies.setdefault(name, []).append(model)
    return copies


def describe_model(model: LoggedModel, ids: IdMap | None = None) -> dict[str, dict[str, Any]]:
    """Return what a store holds of a logged model, without its files.

    Args:
        model: The model.
        ids: The ids with which the copy of the model is described; None for the model itself.
    """
    run_id, metrics = model.source_run_id, [(metric, metric.run_id) for metric in model.metrics or []]
    if ids is not None:
        run_id = ids.runs.get(run_id or "")
        metrics = [(metric, ids.runs[run]) for metric, run in metrics if run in ids.runs]
    model_tags = (ids or IdMap()).rewrite_tags(model.tags)
    return {
        "attribute": {
            "name": model.name,
            "type": model.model_type or None,
            "status": str(model.status),
            "run": run_id or None,
        },
        "parameter": dict(model.params),
        "tag": {key: value for key, value in model_tags.items() if key not in _NOT_COPIED},
        "metric": {
            _name_metric(metric, run): [repr(metric.value), metric.dataset_name, metric.dataset_digest]
            for metric, run in metrics
        },
    }


def _name_metric(metric: Metric, run_id: str | None) -> str:
    return f"{metric.key} of step {metric.step} at {metric.timestamp} of run {run_id}"
