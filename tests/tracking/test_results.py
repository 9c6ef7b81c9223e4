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
from tinybench.tracking.results import FoldResult, PhaseResult, Result
from tinybench.tracking.tracker import Tracker
from tinybench.training.progress import Epoch


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
    run = Tracker(TrackConfig(uri=uri), may_be_away=True).open_parent_run("x")
    key = tracked.log_model(run, network, digits, 1)
    assert run.store.flush()
    result = Result(run.id, uri, "", f"models:/{run.store.id_of(key)}")
    mlflow.set_tracking_uri("sqlite:///elsewhere.db")
    picture = digits.test.images(slice(0, 1))
    (labels,) = result.load_model().predict({"image": [picture[0]]}, params={"top_k": 1})["labels"]
    assert labels == [str(network.predict_on_batch(picture).argmax())]


TESTED = {"test/accuracy": 0.9, "test/accuracy_low": 0.87, "test/accuracy_high": 0.93, "test/log_loss": 0.31}


def test_a_notebook_shows_the_metrics_of_a_phase_with_their_intervals():
    html = PhaseResult("<b>", 8, 6, TESTED)._repr_html_()
    assert "<td>top-1</td><td>0.9 [0.87, 0.93]</td>" in html
    assert "<td>log loss</td><td>0.31</td>" in html
    assert "best epoch 6 of 8, run &lt;b&gt;" in html
    assert "<b>" not in html


def test_a_notebook_shows_every_phase_of_a_run():
    phases = {"transfer": PhaseResult("b", 8, 6, {"test/accuracy": 0.5}), "<i>": PhaseResult("c", 16, 15, TESTED)}
    html = Result("<run>", "sqlite:///x.db", "http://page", "models:/m", phases)._repr_html_()
    assert "<caption>Run &lt;run&gt;</caption>" in html
    assert "<th>top-1</th><th>log loss</th>" in html
    assert "<td>transfer, epoch 6, test images</td><td>0.5</td><td></td>" in html
    assert "<td>&lt;i&gt;, epoch 15, test images</td><td>0.9 [0.87, 0.93]</td><td>0.31</td>" in html


def test_a_notebook_shows_every_fold_of_a_run():
    folds = tuple(FoldResult(number, f"<{number}>", {"out_of_fold/accuracy": 0.8 + number / 100}) for number in (1, 2))
    html = Result("a", "", "", "", {}, folds, TESTED)._repr_html_()
    assert "<td>fold 2, held-out images</td><td>0.82</td><td></td>" in html
    assert "<td>all folds, test images</td><td>0.9 [0.87, 0.93]</td><td>0.31</td>" in html
    html = folds[0]._repr_html_()
    assert "Held-out images of fold 1, run &lt;1&gt;" in html
    assert "<td>top-1</td><td>0.81</td>" in html


def epochs(first: int, count: int) -> tuple[Epoch, ...]:
    names = [f"{split}/{name}" for split in ("train", "val") for name in ("loss", "accuracy", "top5")]
    return tuple(
        Epoch(number, dict.fromkeys(names, number / 10), 1000 * number) for number in range(first, first + count)
    )


def test_the_history_has_a_row_for_each_epoch():
    phases = {
        "transfer": PhaseResult("b", 2, 1, {}, epochs(1, 2)),
        "finetune": PhaseResult("c", 3, 3, {}, epochs(3, 1)),
    }
    history = Result("a", "", "", "", phases).history
    assert [*history["phase"]] == ["transfer", "transfer", "finetune"]
    assert [*history["epoch"]] == [1, 2, 3]
    assert [*history["val/accuracy"]] == [0.1, 0.2, 0.3]
    folds = tuple(FoldResult(number, str(number), {}, epochs(1, 2)) for number in (1, 2))
    assert [*Result("a", "", "", "", {}, folds, TESTED).history["fold"]] == [1, 1, 2, 2]


def test_a_notebook_shows_the_curves_of_a_run():
    phases = {
        "transfer": PhaseResult("b", 2, 1, TESTED, epochs(1, 2)),
        "finetune": PhaseResult("c", 3, 3, TESTED, epochs(3, 1)),
    }
    html = Result("a", "", "", "", phases)._repr_html_()
    assert html.startswith("<svg ")
    assert "<table>" in html
    folds = tuple(FoldResult(number, str(number), {}, epochs(1, 2)) for number in (1, 2))
    assert Result("a", "", "", "", {}, folds, TESTED)._repr_html_().startswith("<svg ")
