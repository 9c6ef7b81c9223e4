"""Count how often test images were used to decide something; stored with the experiments, whatever was decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlflow.entities import ViewType

from tinybench.tracking import tags

if TYPE_CHECKING:
    from mlflow.entities import Experiment

    from tinybench.tracking.tracker import Tracker


def count(tracker: Tracker, test_hash: str) -> int:
    """Return how often test images were used, over all experiments of a store.

    Args:
        tracker: The store.
        test_hash: The hash of the test images.
    """
    tag = _tag_name(test_hash)
    return sum(int(experiment.tags.get(tag, "0")) for experiment in _list_experiments(tracker))


def add(tracker: Tracker, experiment_id: str, test_hash: str) -> None:
    """Count one more use with the experiment of the run that was evaluated."""
    tag = _tag_name(test_hash)
    uses = int(tracker.client.get_experiment(experiment_id).tags.get(tag, "0"))
    tracker.client.set_experiment_tag(experiment_id, tag, str(uses + 1))


def _tag_name(test_hash: str) -> str:
    return tags.TEST_SET_USES + test_hash[:16]


def _list_experiments(tracker: Tracker) -> Iterator[Experiment]:
    """Yield all experiments of a store, also deleted ones."""
    token = None
    while True:
        page = tracker.client.search_experiments(view_type=ViewType.ALL, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
