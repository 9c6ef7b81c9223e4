"""Parameters, counted by hand, and what kept features took."""

from __future__ import annotations

import pytest

from tinybench import models
from tinybench.efficiency import cost_metrics
from tinybench.features.feed_decision import FeedDecision
from tinybench.recipes.resolve import resolve
from tinybench.training import phases

BACKBONE, FEATURES = 64_992, 64
HEAD = (FEATURES + 1) * 64 + (64 + 1) * 10


@pytest.mark.parametrize(("phase", "trained"), [("transfer", HEAD), ("finetune", BACKBONE + HEAD)])
def test_parameters_of_the_model_and_of_the_phase(phase: str, trained: int) -> None:
    chosen = resolve("quickstart", {"head.hidden": 64, "augment.zoom": 0.1})
    model = models.build(chosen, (8, 8, 1), 10)
    trainer = phases.build_trainer(model, chosen, phase)
    assert cost_metrics.parameter_metrics(model, trainer) == {
        "efficiency/parameters": BACKBONE + HEAD,
        "efficiency/parameters_trainable": trained,
    }


def test_features_that_this_run_computed_have_a_speed() -> None:
    decision = FeedDecision("bank", engine="keras", bytes=51_200, images=400, seconds=1.6)
    assert cost_metrics.feature_metrics(decision) == {
        "efficiency/features_bytes": 51_200.0,
        "efficiency/features_seconds": 1.6,
        "efficiency/features_images_per_second": 250.0,
    }


def test_features_that_were_there_took_no_time() -> None:
    found = cost_metrics.feature_metrics(FeedDecision("bank", bytes=51_200))
    assert found == {"efficiency/features_bytes": 51_200.0, "efficiency/features_seconds": 0.0}
    assert all(type(value) is float for value in found.values()), "as MLflow wants it"


@pytest.mark.parametrize("mode", ["live", "engine"])
def test_a_phase_that_keeps_no_features_has_no_figures_of_them(mode: str) -> None:
    assert cost_metrics.feature_metrics(FeedDecision(mode, "views is live", engine="openvino")) == {}
