"""Parameters, counted by hand."""

from __future__ import annotations

import pytest

from tinybench import config, models
from tinybench.efficiency import cost
from tinybench.training import phases

BACKBONE, FEATURES = 65_568, 64
HEAD = (FEATURES + 1) * 64 + (64 + 1) * 10


@pytest.mark.parametrize(("phase", "trained"), [("transfer", HEAD), ("finetune", BACKBONE + HEAD)])
def test_parameters_of_the_model_and_of_the_phase(phase: str, trained: int) -> None:
    chosen = config.resolve("quickstart", {"head.hidden": 64, "augment.zoom": 0.1})
    model, trainer = phases.prepare(models.build(chosen, (8, 8, 1), 10), chosen, phase)
    assert cost.parameters(model, trainer) == {
        "efficiency/parameters": BACKBONE + HEAD,
        "efficiency/parameters_trainable": trained,
    }
