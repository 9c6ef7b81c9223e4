"""Compare both stores after a copy."""

from __future__ import annotations

from typing import Any

from mlflow.entities import LoggedModelStatus

from tinybench.tracking import tags
from tinybench.tracking.copying.copied_content import list_differences
from tinybench.tracking.copying.id_map import IdMap
from tinybench.tracking.copying.logged_model_copy import (
    DESCRIPTION_FILE,
    describe_model,
    list_model_copies,
    rewrite_ids,
)
from tinybench.tracking.copying.run_copy import describe_points, describe_run, list_run_copies
from tinybench.tracking.copying.store_side import StoreSide


class CopyCheck:
    """Compares runs and logged models with their copies.

    A copy that differs is no longer marked as complete, so that copying again repairs what can be repaired.

    Args:
        source: The store that was copied.
        target: The store that has the copies.
        ids: The ids of the copies.
    """

    def __init__(self, source: StoreSide, target: StoreSide, ids: IdMap) -> None:
        self._source = source
        self._target = target
        self._ids = ids

    def list_doubled(self, experiment_id: str) -> list[str]:
        """Return a line for each run or logged model of which an experiment of the target has two copies."""
        runs = {name: len(copies) for name, copies in list_run_copies(self._target, experiment_id).items()}
        models = {name: len(copies) for name, copies in list_model_copies(self._target, experiment_id).items()}
        return [
            f"{kind} {source_id} is in the target {count} times"
            for kind, counts, copied in (("run", runs, self._ids.runs), ("model", models, self._ids.models))
            for source_id, count in counts.items()
            if count > 1 and source_id in copied
        ]

    def check_run(self, run_id: str) -> list[str]:
        """Return how the copy of a run differs from it."""
        run, copy_id = self._source.client.get_run(run_id), self._ids.runs[run_id]
        if not self._target.has_run(copy_id):
            return [f"run {run_id} is not in the target"]
        copied = self._target.client.get_run(copy_id)
        expected: dict[str, Any] = describe_run(run, self._ids)
        actual: dict[str, Any] = describe_run(copied)
        for content, side, item in ((expected, self._source, run), (actual, self._target, copied)):
            content["metric point"] = dict.fromkeys(describe_points(side, item), True)
            content["artifact"] = side.files_of_run(item).hash_files()
        lines = list_differences(expected, actual)
        if lines and tags.COPY_HASH in copied.data.tags:
            self._target.client.delete_tag(copy_id, tags.COPY_HASH)
        return [f"run {run_id} ({run.info.run_name}): {line}" for line in lines]

    def check_model(self, model_id: str) -> list[str]:
        """Return how the copy of a logged model differs from it."""
        model, copy_id = self._source.client.get_logged_model(model_id), self._ids.models[model_id]
        if not self._target.has_model(copy_id):
            return [f"model {model_id} is not in the target"]
        copied = self._target.client.get_logged_model(copy_id)
        expected: dict[str, Any] = describe_model(model, self._ids)
        actual: dict[str, Any] = describe_model(copied)
        expected["file"] = self._source.files_of_model(model).hash_files(rewrite_ids(model, self._ids))
        actual["file"] = self._target.files_of_model(copied).hash_files()
        lines = list_differences(expected, actual)
        if lines and tags.COPY_HASH in copied.tags:
            self._target.client.delete_logged_model_tag(copy_id, tags.COPY_HASH)
        if model.status == LoggedModelStatus.READY and DESCRIPTION_FILE not in expected["file"]:
            lines.append(f"its files are not in the source, at {model.artifact_location}")
        return [f"model {model_id} ({model.name}): {line}" for line in lines]
