"""What is refused before a run is opened: the store stays empty."""

from __future__ import annotations

import pytest
from mlflow.tracking import MlflowClient
from stores import fresh

import tinybench
from tinybench.core.errors import ConfigError, ModelError, WeightsError
from tinybench.job import preflight
from tinybench.recipes.resolve import resolve


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network.blocks": 2}, r"`network\.blocks` would have no effect: simple5 takes `network\.filters`"),
        ({"model": "resnet5"}, "Unknown model 'resnet5'"),
        (
            {"weights": "imagenet", "phases": "transfer"},
            "There are no ImageNet weights for simple5: set --weights none",
        ),
        ({"augment.crop": 32}, r"Invalid value for `augment\.crop`: expected fewer than the 32 pixels"),
        ({"data.classes": 3, "loss.class_weights": "1,2"}, r"Invalid value for `loss\.class_weights`: expected 3"),
        (
            {"data.per_class": 4, "data.folds": 5},
            r"Invalid value for `data\.folds`: expected no more than the 4 images",
        ),
        ({"callbacks": "no_module_of_that_name:Thing"}, "Invalid value for `callbacks`"),
    ],
)
def test_no_run_is_opened_for_what_could_only_fail(
    settings: dict[str, object], message: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = fresh(tmp_path_factory)
    with pytest.raises((ConfigError, ModelError, WeightsError), match=message):
        tinybench.train(recipe="cifar10-simple5", **settings, **{"track.uri": store})
    assert not MlflowClient(store).search_runs(["0", "1"])


def test_settings_that_fit_pass() -> None:
    given = {"augment.crop": 31, "data.classes": 3, "loss.class_weights": "1,2,3", "data.per_class": 5, "data.folds": 5}
    preflight.check_run(resolve("cifar10-simple5", given))
