"""Copy a run: its parameters, metrics, tags, inputs, artifacts and end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlflow.entities import LoggedModelInput, LoggedModelOutput, Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun

from tinybench.tracking import store, tags
from tinybench.tracking.copying.artifact_folder import copy_files
from tinybench.tracking.copying.copied_content import Content, contains, hash_content
from tinybench.tracking.copying.copy_report import CopyReport
from tinybench.tracking.copying.id_map import IdMap
from tinybench.tracking.copying.store_side import StoreSide

_MAX_METRICS_PER_CALL = 1000  # MLflow's limits
_MAX_PARAMS_PER_CALL = 100
_MAX_TAGS_PER_CALL = 100
_LATEST = "latest metric"


class RunCopy:
    """Copies runs.

    Args:
        source: The store that has them.
        target: The store that gets them.
        ids: The ids of the copies, which are added as they are created.
        report: Is told how many artifacts were copied, and which could not be.
    """

    def __init__(self, source: StoreSide, target: StoreSide, ids: IdMap, report: CopyReport) -> None:
        self._source = source
        self._target = target
        self._ids = ids
        self._report = report

    def create(self, run: MlflowRun, experiment_id: str, copies: Mapping[str, list[str]]) -> None:
        """Note the copy of a run, which is created if the target has none.

        Args:
            run: The run in the source.
            experiment_id: Its experiment in the target.
            copies: The runs of that experiment, as `list_run_copies` returns them.
        """
        run_id, run_tags = run.info.run_id, run.data.tags
        original = run_tags.get(tags.COPIED_FROM)
        if original is not None and self._target.has_run(original):
            self._ids.runs[run_id] = original
            self._ids.originals.add(run_id)
            return
        matching = copies.get(run_id) or copies.get(run_tags.get(tags.KEY, ""))
        copy_id = matching[0] if matching else self._create(run, experiment_id)
        self._ids.runs[run_id] = copy_id
        self._ids.locations[run.info.artifact_uri] = self._target.client.get_run(copy_id).info.artifact_uri

    def _create(self, run: MlflowRun, experiment_id: str) -> str:
        info = run.info
        first_tags = {tags.COPIED_FROM: info.run_id, tags.USER: info.user_id or ""}
        with store.without_retries():
            created = self._target.client.create_run(experiment_id, info.start_time, first_tags, info.run_name)
        return str(created.info.run_id)

    def fill(self, run_id: str) -> bool:
        """Copy everything of a run that the target lacks; return whether it was marked as complete before."""
        run = self._source.client.get_run(run_id)
        copied = self._target.client.get_run(self._ids.runs[run_id])
        files = self._source.files_of_run(run)
        expected = describe_run(run, self._ids)
        complete_hash = hash_content({**expected, "artifact": files.list_files()})
        is_complete = copied.data.tags.get(tags.COPY_HASH) == complete_hash
        if is_complete and contains(describe_run(copied), expected):
            return True
        self._send_values(run, copied)
        self._send_points(run, copied)
        self._send_inputs(run, copied, expected)
        count, problems = copy_files(files, self._target.files_of_run(copied))
        self._end(run, copied)
        self._report.artifacts += count
        self._report.problems += [f"Run {run_id}: {problem}" for problem in problems]
        if not problems:
            self._target.client.set_tag(copied.info.run_id, tags.COPY_HASH, complete_hash)
        return False

    def _send_values(self, run: MlflowRun, copied: MlflowRun) -> None:
        """Log the parameters and tags that the copy lacks or has differently."""
        client, copy_id = self._target.client, copied.info.run_id
        run_tags = self._ids.rewrite_tags(run.data.tags)
        run_tags.setdefault(tags.COPIED_FROM, copied.data.tags.get(tags.COPIED_FROM, run.info.run_id))
        params = [Param(*item) for item in run.data.params.items() if item not in copied.data.params.items()]
        changed = [RunTag(*item) for item in run_tags.items() if item not in copied.data.tags.items()]
        for start in range(0, len(params), _MAX_PARAMS_PER_CALL):
            client.log_batch(copy_id, params=params[start : start + _MAX_PARAMS_PER_CALL])
        for start in range(0, len(changed), _MAX_TAGS_PER_CALL):
            client.log_batch(copy_id, tags=changed[start : start + _MAX_TAGS_PER_CALL])
        for name in (tags.USER, tags.ERROR):  # made with the copy, or removed when the source was resumed
            if name in copied.data.tags and name not in run_tags:
                client.delete_tag(copy_id, name)

    def _send_points(self, run: MlflowRun, copied: MlflowRun) -> None:
        """Log the points of metrics that the copy lacks."""
        missing: list[Metric] = []
        for name in run.data.metrics:
            present = set(describe_points(self._target, copied, [name]))
            points = self._source.client.get_metric_history(run.info.run_id, name)
            missing += [
                Metric(name, point.value, point.timestamp, point.step)
                for point in points
                if _name_point(point) not in present
            ]
        for start in range(0, len(missing), _MAX_METRICS_PER_CALL):
            self._target.client.log_batch(copied.info.run_id, missing[start : start + _MAX_METRICS_PER_CALL])

    def _send_inputs(self, run: MlflowRun, copied: MlflowRun, expected: Content) -> None:
        """Link the data sets and logged models that the copy is not linked to."""
        client, copy_id, present = self._target.client, copied.info.run_id, describe_run(copied)
        datasets = [item for item in run.inputs.dataset_inputs if _name_dataset(item) not in present["dataset input"]]
        inputs = [LoggedModelInput(name) for name in expected["model input"] if name not in present["model input"]]
        outputs = [
            LoggedModelOutput(name, step)
            for name, step in expected["model output"].items()
            if name not in present["model output"]
        ]
        if datasets or inputs:
            client.log_inputs(copy_id, datasets, inputs)
        if outputs:
            client.log_outputs(copy_id, outputs)

    def _end(self, run: MlflowRun, copied: MlflowRun) -> None:
        """Give the copy the status and the end of the run."""
        status, end = run.info.status, run.info.end_time
        if (copied.info.status, copied.info.end_time) == (status, end):
            return
        if end:
            self._target.client.set_terminated(copied.info.run_id, status, end)
        else:
            self._target.client.update_run(copied.info.run_id, status)


def list_run_copies(side: StoreSide, experiment_id: str) -> dict[str, list[str]]:
    """Return the ids of copies in an experiment, sorted, by the id of the source and by the key of the run."""
    copies: dict[str, list[str]] = {}
    for run in side.runs(experiment_id):
        for name in {run.data.tags.get(tags.COPIED_FROM), run.data.tags.get(tags.KEY)} - {None}:
            copies.setdefault(name, []).append(run.info.run_id)
    return {name: sorted(run_ids) for name, run_ids in copies.items()}


def describe_run(run: MlflowRun, ids: IdMap | None = None) -> dict[str, dict[str, Any]]:
    """Return what a store holds of a run, without points of metrics and artifacts.

    Args:
        run: The run.
        ids: The ids with which the copy of the run is described; None for the run itself.
    """
    info, data = run.info, run.data
    inputs = {item.model_id: True for item in run.inputs.model_inputs or []}
    outputs = {item.model_id: item.step for item in (run.outputs.model_outputs if run.outputs else [])}
    if ids is not None:
        inputs = {ids.models[model]: value for model, value in inputs.items() if model in ids.models}
        outputs = {ids.models[model]: step for model, step in outputs.items() if model in ids.models}
    return {
        "attribute": {
            "name": info.run_name,
            "status": info.status,
            "start": info.start_time,
            "end": info.end_time or None,
            "user": info.user_id,
        },
        "parameter": dict(data.params),
        "tag": (ids or IdMap()).rewrite_tags(data.tags),
        _LATEST: {name: repr(value) for name, value in data.metrics.items()},
        "dataset input": {_name_dataset(item): _describe_dataset(item) for item in run.inputs.dataset_inputs},
        "model input": inputs,
        "model output": outputs,
    }


def describe_points(side: StoreSide, run: MlflowRun, names: list[str] | None = None) -> Iterator[str]:
    """Yield every point of every metric of a run as text.

    Args:
        side: The store of the run.
        run: The run.
        names: Only these metrics, which it need not have; all if None.
    """
    for name in run.data.metrics if names is None else names:
        if name in run.data.metrics:
            yield from map(_name_point, side.client.get_metric_history(run.info.run_id, name))


def _name_point(point: Metric) -> str:
    return f"{point.key}={point.value!r} of step {point.step} at {point.timestamp}"


def _name_dataset(item: Any) -> str:
    return f"{item.dataset.name} {item.dataset.digest}"


def _describe_dataset(item: Any) -> dict[str, Any]:
    return dict(item.dataset) | {"tags": {tag.key: tag.value for tag in item.tags}}
