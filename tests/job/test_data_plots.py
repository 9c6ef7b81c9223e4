"""Which pictures a run gets: of its data always, of augmentation where a phase augments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench import data
from tinybench.config.sections import TrackConfig
from tinybench.job import data_plots
from tinybench.recipes.resolve import resolve
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.tracker import Tracker


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunWriter]:
    with closing(Tracker(TrackConfig(uri=fresh(tmp_path_factory)), may_be_away=True)) as tracker:
        yield tracker.open_parent_run("x")


@pytest.fixture(scope="module")
def digits() -> Any:
    return data.load("digits", resolve("quickstart", {"data.per_class": 12}).data, 0, image_size=16)


def client_of(run: RunWriter) -> MlflowClient:
    assert run.store.flush()
    return MlflowClient(run.store.uri)


def figures(run: RunWriter) -> set[str]:
    return {Path(item.path).name for item in client_of(run).list_artifacts(run.id, "figures")}


def arrays(run: RunWriter, name: str) -> dict[str, Any]:
    with np.load(client_of(run).download_artifacts(run.id, f"figures/{name}.npz")) as stored:
        return dict(stored)


def test_data_are_shown_with_the_arrays_beside_them(run: RunWriter, digits: Any) -> None:
    data_plots.log_data_plots(run, digits)
    assert figures(run) == {"class_distribution.png", "class_distribution.csv", "samples.png", "samples.npz"}
    kept = arrays(run, "samples")
    assert kept["images"].shape == (80, 8, 8, 1)
    np.testing.assert_array_equal(kept["labels"], np.repeat(np.arange(10), 8))


@pytest.mark.parametrize(
    ("chosen", "phase", "augmented", "there"),
    [
        ({}, "scratch", True, True),
        ({}, "transfer", False, False),
        ({"transfer.views": 2}, "transfer", False, True),
        ({"augment.rotation": 0, "augment.translation": 0, "augment.cutmix": 1}, "scratch", False, True),
    ],
)
def test_augmentation_is_shown_where_it_is_used(
    run: RunWriter, digits: Any, chosen: dict[str, Any], phase: str, augmented: bool, there: bool
) -> None:
    config = resolve("quickstart", chosen)
    data_plots.log_augmented_images(run, config, phase, digits, augmented=augmented)
    assert figures(run) == ({"augmented.png", "augmented.npz"} if there else set())
    if there:
        seen = arrays(run, "augmented")["images"]
        assert seen.shape == (6, 8, 8, 8, 1)
        changed = np.abs(seen[:, 1:].astype(int) - seen[:, :1]).max(axis=(2, 3, 4)) > 0
        assert changed.mean() > 0.5, "the first of each is as it is, the others are changed"


def test_mixed_images_are_shown_with_the_share_of_each_class(run: RunWriter, digits: Any) -> None:
    chosen = {"augment.rotation": 0, "augment.translation": 0, "augment.mixup": 1}
    data_plots.log_augmented_images(run, resolve("quickstart", chosen), "scratch", digits, augmented=False)
    kept = arrays(run, "augmented")
    images, shares = kept["images"].astype(float), kept["labels"]
    assert shares.shape == (6, 8, 10)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-6)
    assert set(np.unique(shares[:, 0])) == {0, 1}, "the first of each is as it is"
    assert len(set(shares[:, 0].argmax(axis=-1))) == 6, "as many classes as there is room for"
    assert ((shares[:, 1:] > 0).sum(axis=-1) == 2).any(), "some are mixed"
    whole = {int(share.argmax()): image for share, image in zip(shares[:, 0], images[:, 0], strict=True)}
    for image, share in zip(images[:, 1:].reshape(-1, *images.shape[2:]), shares[:, 1:].reshape(-1, 10), strict=True):
        expected = sum(share[label] * whole[label] for label in np.flatnonzero(share))
        np.testing.assert_allclose(image, expected, atol=1.5)  # of 255, as whole numbers


def test_images_that_are_not_mixed_have_one_class(run: RunWriter, digits: Any) -> None:
    data_plots.log_augmented_images(run, resolve("quickstart", {}), "scratch", digits, augmented=True)
    shares = arrays(run, "augmented")["labels"]
    np.testing.assert_array_equal(shares, np.repeat(shares[:, :1], 8, axis=1))
