"""What the tracking tests share: a store for each module, and an MLflow that forgets it."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import pytest
import stores

from tinybench.config.sections import TrackConfig
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stores.fresh(tmp_path_factory)


@pytest.fixture
def tracker(store: str) -> Iterator[Tracker]:
    opened = Tracker(TrackConfig(uri=store), may_be_away=True)
    yield opened
    opened.close()


@pytest.fixture
def run(tracker: Tracker) -> RunWriter:
    """A run of its own, as the store makes it: no tags of ours."""
    return tracker.amend(tracker.client.create_run("0"))


@pytest.fixture(autouse=True)
def forget_the_store() -> Iterator[None]:
    mlflow.set_tracking_uri(None)  # that a test of another folder has named
    yield
    mlflow.set_tracking_uri(None)
