"""Measurements of a model, combined over rounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from measured_costs import cost, measured

from tinybench.efficiency import model_cost
from tinybench.efficiency.model_cost import ModelCost


def test_a_cost_is_the_median_of_its_rounds_and_named_by_device() -> None:
    found = cost("a", 3.0, 1.0, 2.0, device="gpu")
    assert found.metrics["latency_p50_ms"] == 2
    assert found.logged_metrics["efficiency/gpu_latency_p50_ms"] == 2
    assert found.logged_metrics["efficiency/parameters"] == 2


def test_noise_is_that_of_the_same_model_measured_again() -> None:
    noise = model_cost.noise_by_metric([cost("a", 1.0, 1.1), cost("b", 10.0, 10.5)])
    assert noise["latency_p50_ms"] == pytest.approx(0.1)
    assert "parameters" not in noise


def test_a_throughput_goes_with_the_batch_that_gave_it() -> None:
    rounds = [
        replace(each, metrics=each.metrics | {"throughput_images_per_second": speed, "throughput_batch": batch})
        for each, speed, batch in ((measured(1.0), 100.0, 8.0), (measured(1.0), 60.0, 2.0))
    ]
    found = ModelCost(rounds[0].spec, tuple(rounds)).metrics
    assert (found["throughput_images_per_second"], found["throughput_batch"]) == (100.0, 8.0)
