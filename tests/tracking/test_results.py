"""What a run leaves for a program."""

from __future__ import annotations

import sys

import mlflow
import pytest
import stores

from tinybench import data, models
from tinybench.config.sections import TrackConfig
from tinybench.recipes.resolve import resolve
from tinybench.tracking import model_logging as tracked
from tinybench.tracking.results import PhaseResult, Result
from tinybench.tracking.tracker import Tracker


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch):
    """MLflow sets its store and its search path for the whole process."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    mlflow.set_tracking_uri(None)


def test_the_figures_are_those_after_the_last_phase():
    first, second = PhaseResult("b", 2, 1, {"test/loss": 0.5}), PhaseResult("c", 4, 4, {"test/loss": 0.25})
    both = Result("a", "sqlite:///x.db", "http://page", "models:/m", {"transfer": first, "finetune": second})
    assert both.metrics == {"test/loss": 0.25}
    assert Result("a", "", "", "", {"transfer": first}).metrics == {"test/loss": 0.5}


def test_the_model_is_loaded_from_the_store_that_holds_it(tmp_path_factory, restored):
    uri = stores.fresh(tmp_path_factory)
    digits = data.load("digits", resolve("quickstart").data, 0, image_size=16)
    network = models.build(resolve("quickstart"), digits.shape, 10)
    run = Tracker(TrackConfig(uri=uri)).open_parent_run("x")
    result = Result(run.id, uri, "", tracked.log_model(run, network, digits, 1))
    mlflow.set_tracking_uri("sqlite:///elsewhere.db")
    picture = digits.test.images(slice(0, 1))
    (labels,) = result.load_model().predict({"image": [picture[0]]}, params={"top_k": 1})["labels"]
    assert labels == [str(network.predict_on_batch(picture).argmax())]
