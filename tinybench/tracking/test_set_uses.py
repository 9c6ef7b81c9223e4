"""How often test images were looked at to decide something: kept with the experiments, whatever came of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlflow.entities import ViewType

if TYPE_CHECKING:
    from mlflow.entities import Experiment

    from tinybench.tracking.tracker import Tracker

_TAG = "tinybench.looks."


def count(tracker: Tracker, test: str) -> int:
    """How often, in a whole store.

    Args:
        tracker: The store.
        test: Fingerprint of the test images.
    """
    return sum(int(each.tags.get(_TAG + test[:16], "0")) for each in _experiments(tracker))


def _experiments(tracker: Tracker) -> Iterator[Experiment]:
    """All of them, also deleted ones."""
    token = None
    while True:
        page = tracker.client.search_experiments(view_type=ViewType.ALL, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def add(tracker: Tracker, experiment_id: str, test: str) -> None:
    """Count one more, with the experiment of the run that was judged."""
    known = tracker.client.get_experiment(experiment_id).tags.get(_TAG + test[:16], "0")
    tracker.client.set_experiment_tag(experiment_id, _TAG + test[:16], str(int(known) + 1))
