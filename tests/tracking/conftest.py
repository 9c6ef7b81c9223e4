"""What the tracking tests share: a store for each module, and an MLflow that forgets it."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import pytest
import stores

from tinybench.config.sections import TrackConfig
from tinybench.tracking.run import Run
from tinybench.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stores.fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def tracker(store: str) -> Tracker:
    return Tracker(TrackConfig(uri=store))


@pytest.fixture
def run(tracker: Tracker) -> Run:
    """A run of its own, as the store makes it: no tags of ours."""
    return Run(tracker.client, tracker.client.create_run("0").info.run_id)


@pytest.fixture(autouse=True)
def forget_the_store() -> Iterator[None]:
    yield
    mlflow.set_tracking_uri(None)
