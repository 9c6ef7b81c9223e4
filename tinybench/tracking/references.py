"""Find the run that a person names: by its id, the beginning of its id, its name, `last` or `best`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tinybench.core.errors import TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import provenance, run_kinds, tags
from tinybench.tracking.journal.journal import is_key

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.run_reader import RunReader

LAST, BEST = "last", "best"
BEST_METRIC = "best/val_accuracy"
"""The metric by which `best` selects a run: that of the validation images, never of the test images."""

_ID = re.compile(r"[0-9a-f]{32}")
_BEGINNING = re.compile(r"[0-9a-f]{4,31}")
_TOO_SHORT = re.compile(r"[0-9a-f]{1,3}")
_MAX_LISTED = 8  # runs in a message


def find_run_id(tracker: RunReader, reference: str) -> str:
    """Return the id of the run that a reference names.

    Args:
        tracker: The store; all of its experiments are searched.
        reference: An id, the first 4 or more digits of one, or a run's name; `last`, the newest training run of this
            user; or `best`, the finished training run with the highest validation accuracy.

    Returns:
        The id; the reference itself if no run is found by it, since not every store has ids of 32 digits.

    Raises:
        TrackingError: Several runs fit; the message lists them. Or it is the beginning of an id, but too short.
    """
    if is_key(reference):
        return reference
    if _ID.fullmatch(reference.lower()):
        return reference.lower()
    if reference == LAST:
        return _find_last(tracker)
    if reference == BEST:
        return _find_best(tracker)
    runs = {run.info.run_id: run for run in _find_named(tracker, reference)}
    if not runs and _TOO_SHORT.fullmatch(reference):
        raise TrackingError(f"No run {reference!r} in {redact(tracker.uri)}: give at least 4 digits of an id.")
    if len(runs) > 1:
        raise TrackingError(f"{reference!r} can be {len(runs)} runs: {_list_runs([*runs.values()])}. Give an id.")
    return next(iter(runs), reference)


def _find_last(tracker: RunReader) -> str:
    user = provenance.user_name()
    run = next(filter(_is_training, tracker.search_runs(f"tags.`{tags.USER}` {_quote(user)}")), None)
    if run is None:
        raise TrackingError(f"`{LAST}` names no run: {user} has trained nothing in {redact(tracker.uri)}.")
    return str(run.info.run_id)


def _find_best(tracker: RunReader) -> str:
    finished = tracker.search_runs(f"attributes.status = 'FINISHED' and metrics.`{BEST_METRIC}` >= 0")
    runs = [run for run in finished if _is_training(run) and run.info.status == "FINISHED"]
    runs = [run for run in runs if BEST_METRIC in run.data.metrics]
    if not runs:
        raise TrackingError(f"`{BEST}` names no run: none in {redact(tracker.uri)} is finished.")
    best_of_each = [max(group, key=lambda run: run.data.metrics[BEST_METRIC]) for group in _group_by_test_images(runs)]
    if len(best_of_each) > 1:
        raise TrackingError(
            f"`{BEST}` can be {len(best_of_each)} runs, which were tested on different images: "
            f"{_list_runs(best_of_each)}. Give an id."
        )
    return str(best_of_each[0].info.run_id)


def _group_by_test_images(runs: Iterable[MlflowRun]) -> list[list[MlflowRun]]:
    """Return the runs in groups that share the hash of their test images; older runs share that of all images."""
    groups: dict[str, list[MlflowRun]] = {}
    for run in runs:
        shared = run.data.tags.get(tags.TEST_HASH) or run.data.tags.get(tags.DATA_FINGERPRINT, "")
        groups.setdefault(shared, []).append(run)
    return [*groups.values()]


def _find_named(tracker: RunReader, reference: str) -> Iterator[MlflowRun]:
    """Yield the runs whose name is a text, and those whose id begins with it."""
    for run in tracker.search_runs(f"attributes.run_name {_quote(reference)}"):
        if run.info.run_name == reference:
            yield run
    beginning = reference.lower()
    if _BEGINNING.fullmatch(beginning):
        for run in tracker.search_runs(f"attributes.run_id LIKE '{beginning}%'"):
            if run.info.run_id.startswith(beginning):
                yield run


def _is_training(run: MlflowRun) -> bool:
    return run_kinds.kind_of(run.data.tags) == run_kinds.TRAINING


def _quote(text: str) -> str:
    """Return a text as MLflow's filter language writes it; it knows no escapes, so that % stands for a quote."""
    if "'" not in text:
        return f"= '{text}'"
    if '"' not in text:
        return f'= "{text}"'
    return "LIKE '" + text.replace("'", "%") + "'"


def _list_runs(runs: Sequence[MlflowRun]) -> str:
    listed = [
        f"{run.info.run_id[:8]} ({run.info.run_name}, {run.info.status.lower()}, {_format_time(run.info.start_time)})"
        for run in runs[:_MAX_LISTED]
    ]
    more = len(runs) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "")


def _format_time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000):%Y-%m-%d %H:%M}"
