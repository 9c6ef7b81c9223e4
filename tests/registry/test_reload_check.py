"""Whether a stored model can be used is asked before it is judged."""

from __future__ import annotations

import numpy as np
import pytest

from tinybench.core import interruption
from tinybench.core.errors import Interrupted
from tinybench.evaluation.predictions import Predictions
from tinybench.registry import evidence
from tinybench.registry.gates import EvaluatedModel


class Files:
    """A stored model whose library fails."""

    def run_reload_check(self):
        raise SystemError("bad argument to internal function")


@pytest.fixture
def model() -> EvaluatedModel:
    predictions = Predictions.from_logits(np.arange(2), np.arange(2), np.eye(2))
    return EvaluatedModel("run", predictions, 1.0, ("a", "b"), "data", "test", {})


def test_an_interruption_is_not_taken_for_the_fault_of_the_model(model, monkeypatch):
    assert evidence._add_reload_check(model, Files()).reload_error.startswith("it cannot be used: SystemError")
    monkeypatch.setattr(interruption, "_received", [Interrupted("Terminated by SIGTERM.")])
    with pytest.raises(Interrupted):
        evidence._add_reload_check(model, Files())
