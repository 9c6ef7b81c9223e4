"""What `--dry-run` accepts begins to train: both use the same checks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from stores import fresh

from tinybench.commands.estimate import estimate_run
from tinybench.core.errors import TinybenchError
from tinybench.features.feed_decision import FeedDecision
from tinybench.job.train import train_run
from tinybench.recipes.resolve import resolve
from tinybench.training.phase_context import PhaseContext
from tinybench.training.precision import PrecisionChoice
from tinybench.training.run_callbacks import RunCallbacks

MODELS = (
    "smallcnn",
    "shallow",
    "simple5",
    "vgg10",
    "resnet20",
    "alexnet-mini",
    "cnn3",
    "conv6",
    "deep",
    "efficientnetb0",
)
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "recipe": st.sampled_from(["quickstart", "cifar10-vgg10", "tiny-imagenet-tlft"]),
    "weights": st.sampled_from(["none", "imagenet", "file", "gone.keras"]),
    "phases": st.sampled_from(["scratch", "transfer", "finetune", "transfer,finetune"]),
    "image_size": st.sampled_from([8, 12, 16, 28, 40]),
    "head.pooling": st.sampled_from(["avg", "max", "flatten"]),
    "head.hidden": st.sampled_from(["none", "8", "8,8"]),
    "finetune.unfreeze": st.sampled_from(["1", "0.5", "all", "block2_conv1", "block2", "200", "gone"]),
    "network.filters": st.sampled_from(["4", "4,8", "4,8,8", "4,4,4,4,4"]),
    "network.blocks": st.sampled_from([1, 2, 3]),
    "network.dropout": st.sampled_from([0.0, 0.5]),
    "augment.crop": st.sampled_from([0, 2, 8, 40]),
    "augment.rotation": st.sampled_from([0, 20]),
    "loss.class_weights": st.sampled_from(["balanced", "1,2,3"]),
    "data.classes": st.sampled_from([2, 3, 10, 11]),
    "data.folds": st.sampled_from([2, 30]),
    "optimizer.name": st.sampled_from(["adam", "sgd", "adamw"]),
}
FEW_IMAGES = {"dataset": "digits", "data.per_class": 12, "data.test_per_class": 3, "engine": "keras"}
FEW_IMAGES |= {"track.pictures": False, "track.costs": "off", "precision": "float32"}


class _Began(Exception):
    """The first phase begins."""


class _StopAtPhase(RunCallbacks):
    def on_phase_begin(self, context: PhaseContext, feed: FeedDecision, precision: PrecisionChoice) -> None:
        raise _Began


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
@given(model=st.sampled_from(MODELS), chosen=st.fixed_dictionaries({}, optional=SETTINGS))
def test_what_a_dry_run_accepts_begins_to_train(
    model: str, chosen: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = fresh(tmp_path_factory)
    try:
        config = resolve(None, chosen | FEW_IMAGES | {"model": model, "track.uri": store})
        estimate_run(config)
    except TinybenchError:
        assume(False)
    assume(config.weights != "imagenet")  # which would be fetched
    with pytest.raises(_Began):
        train_run(config, callbacks=_StopAtPhase())
