"""TensorBoard finds every metric and picture of a run, once, read by TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tinybench.core.errors import ConfigError
from tinybench.tracking import tensorboard_events
from tinybench.tracking.tracker import Tracker


@pytest.fixture
def run(tracker: Tracker):
    return tracker.open_parent_run("x")


def read(run, folder: Path) -> EventAccumulator:
    assert run.store.flush()
    files = MlflowClient(run.store.uri).download_artifacts(run.id, "tensorboard", str(folder))
    found = EventAccumulator(files)
    return found.Reload()


def test_every_point_and_picture_is_there(tracker, run, tmp_path: Path) -> None:
    for step in (1, 2, 3):
        run.log_metrics({"val/loss": 1 / step, "train/lr": 0.1}, step, 1_700_000_000_000 + step * 1000)
    figure = Figure(figsize=(2, 1))
    run.log_figure(figure, "figures/curves.png")
    tensorboard_events.write_events(tracker, run)
    found = read(run, tmp_path)
    assert sorted(found.Tags()["scalars"]) == ["train/lr", "val/loss"]
    points = found.Scalars("val/loss")
    assert [point.step for point in points] == [1, 2, 3]
    np.testing.assert_allclose([point.value for point in points], [1, 1 / 2, 1 / 3], rtol=1e-6)
    assert [point.wall_time for point in points] == [1_700_000_001, 1_700_000_002, 1_700_000_003]
    (picture,) = found.Images("curves")
    assert (picture.width, picture.height, picture.step) == (240, 120, 3)
    assert picture.encoded_image_string.startswith(b"\x89PNG")


def test_what_is_written_again_takes_the_place_of_what_was(tracker, run, tmp_path: Path) -> None:
    run.log_metrics({"val/loss": 0.5}, 1, 1_700_000_000_000)
    tensorboard_events.write_events(tracker, run)
    run.log_metrics({"val/loss": 0.4}, 2, 1_700_000_001_000)
    tensorboard_events.write_events(tracker, run)
    assert [point.step for point in read(run, tmp_path).Scalars("val/loss")] == [1, 2]


def test_a_run_without_pictures_has_its_metrics(tracker, run, tmp_path: Path) -> None:
    run.log_metrics({"test/accuracy": 0.5}, 4, 1_700_000_000_000)
    tensorboard_events.write_events(tracker, run)
    assert [point.value for point in read(run, tmp_path).Scalars("test/accuracy")] == [0.5]


def test_without_the_extra_a_run_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    real = tensorboard_events.importlib.util.find_spec
    monkeypatch.setattr(
        tensorboard_events.importlib.util, "find_spec", lambda name: None if name == "tensorboard" else real(name)
    )
    with pytest.raises(ConfigError, match=r"needs the extra tensorboard: pip install 'tinybench\[tensorboard\]'"):
        tensorboard_events.require_tensorboard()
