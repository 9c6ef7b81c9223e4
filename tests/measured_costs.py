"""Costs of models as if they had been measured."""

from __future__ import annotations

import numpy as np

from tinybench.efficiency.measurement import Measurement
from tinybench.efficiency.measurement_spec import MeasurementSpec
from tinybench.efficiency.model_cost import ModelCost


def measured(p50: float, model: str = "smallcnn", device: str = "cpu") -> Measurement:
    names = "latency_p50_ms latency_p90_ms latency_p99_ms throughput_images_per_second throughput_batch parameters "
    names += "first_call_ms jpeg_to_label_p50_ms latency_predict_ms memory_peak_bytes weight_bytes"
    figures = dict.fromkeys(names.split(), p50)
    certificate = {"machine": {"cpu": "one"}, "before": {"load_average": [0.5, 0.5, 0.5]}}
    return Measurement(
        MeasurementSpec(model, device=device), figures, np.full(10, p50 / 1000), ((1, 1.0),), (), certificate
    )


def cost(model: str, *p50: float, device: str = "cpu") -> ModelCost:
    return ModelCost(MeasurementSpec(model, device=device), tuple(measured(each, model, device) for each in p50))
