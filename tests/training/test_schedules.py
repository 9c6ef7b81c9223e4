"""How the learning rate goes on within a phase."""

from __future__ import annotations

import numpy as np
import pytest

from tinybench.config.sections import PhaseConfig
from tinybench.training import schedules


def rates(settings: PhaseConfig, steps: int) -> np.ndarray:
    schedule = schedules.learning_rate(settings, steps)
    return np.array([float(schedule(step)) for step in range(settings.epochs * steps + 1)])


@pytest.mark.parametrize("name", ["constant", "plateau"])
def test_a_rate_that_does_not_change_by_itself_is_a_number(name: str) -> None:
    assert schedules.learning_rate(PhaseConfig(lr=0.3, schedule=name), 10) == 0.3


def test_a_cosine_falls_from_the_rate_to_nothing() -> None:
    found = rates(PhaseConfig(epochs=4, lr=0.2, schedule="cosine"), 25)
    expected = 0.2 * (1 + np.cos(np.pi * np.arange(101) / 100)) / 2
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_warm_up_rises_in_a_line_before_the_cosine() -> None:
    found = rates(PhaseConfig(epochs=5, lr=0.2, schedule="cosine", warmup=2), 10)
    np.testing.assert_allclose(found[:21], 0.2 * np.arange(21) / 20, atol=1e-7)
    np.testing.assert_allclose(found[20:], 0.2 * (1 + np.cos(np.pi * np.arange(31) / 30)) / 2, atol=1e-7)
