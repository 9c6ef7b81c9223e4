"""Log parameters, metrics and tags of a run in as few calls as MLflow's limits allow."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from tinybench.tracking import tags
from tinybench.tracking.journal.entry_file import Entry

Item = TypeVar("Item")

BATCHED = {"params", "metrics", "tags"}
"""Kinds of entries that are sent together."""

_MAX_BATCH_ENTRIES = 4000
_MAX_METRICS_PER_CALL = 800  # with the others, 1,000 items, which is MLflow's limit
_MAX_PARAMS_PER_CALL = 100
_MAX_TAGS_PER_CALL = 90
_PARALLEL_REQUESTS = 4  # MLflow's server has four processes unless it is told otherwise


def log(
    client: MlflowClient, run_id: str, params: dict[str, str], metrics: list[Metric], run_tags: dict[str, str]
) -> None:
    """Log in as few calls as MLflow's limits allow; the mark of the journal, among the tags, comes last."""
    mark = run_tags.pop(tags.JOURNAL, None)
    marks = [RunTag(tags.JOURNAL, mark)] if mark else []
    param_list = [Param(key, value) for key, value in params.items()]
    tag_list = [RunTag(key, value) for key, value in run_tags.items()]
    metric_lists = _chunks(metrics, _MAX_METRICS_PER_CALL)
    if len(metric_lists) <= 1 and len(param_list) <= _MAX_PARAMS_PER_CALL and len(tag_list) <= _MAX_TAGS_PER_CALL:
        if metrics or param_list or tag_list or marks:
            client.log_batch(run_id, metrics, param_list, tag_list + marks)
        return
    for chunk in _chunks(param_list, _MAX_PARAMS_PER_CALL):
        client.log_batch(run_id, params=chunk)
    for tag_chunk in _chunks(tag_list, _MAX_TAGS_PER_CALL):
        client.log_batch(run_id, tags=tag_chunk)
    _log_metric_lists(client, run_id, metric_lists)
    if marks:
        client.log_batch(run_id, tags=marks)


def select_missing(client: MlflowClient, run_id: str, params: dict[str, str]) -> dict[str, str]:
    """Return the parameters that a run of `mlflow run` does not have.

    It has its own parameters, as the user wrote them. One that the user did not set has the value `recipe`; what
    the recipe says is then logged as `recipe.<key>`.
    """
    logged = client.get_run(run_id).data.params
    renamed = {f"recipe.{key}" if logged.get(key) == "recipe" else key: value for key, value in params.items()}
    return {key: value for key, value in renamed.items() if key not in logged}


def _log_metric_lists(client: MlflowClient, run_id: str, metric_lists: list[list[Metric]]) -> None:
    """Log many metrics, whose order does not matter: by several requests at a time where the store is a server."""
    if client.tracking_uri.startswith("http"):
        with ThreadPoolExecutor(_PARALLEL_REQUESTS) as executor:
            list(executor.map(lambda chunk: client.log_batch(run_id, metrics=chunk), metric_lists))
        return
    with _paused_garbage_collection():
        for chunk in metric_lists:
            client.log_batch(run_id, metrics=chunk)


def _chunks(items: list[Item], size: int) -> list[list[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


@contextmanager
def _paused_garbage_collection() -> Iterator[None]:
    """Pause Python's garbage collection: the objects of a database's rows would start it over and over."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield the entries in their order: neighbours that can be sent together in one list, others by themselves."""
    batch: list[Entry] = []
    for entry in entries:
        if entry["do"] in BATCHED and len(batch) < _MAX_BATCH_ENTRIES:
            batch.append(entry)
            continue
        if batch:
            yield batch
        batch = [entry] if entry["do"] in BATCHED else []
        if not batch:
            yield [entry]
    if batch:
        yield batch
