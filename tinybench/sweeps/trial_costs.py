"""Measure what the model of a trial costs, once for all trials of a study whose models have the same layers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from tinybench import models
from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset
from tinybench.efficiency import measurement
from tinybench.efficiency.measurement_spec import MeasurementSpec
from tinybench.efficiency.model_cost import ModelCost
from tinybench.hardware import certificate
from tinybench.sweeps.space import COSTS, TRAINING_SECONDS
from tinybench.sweeps.study import Study

# The settings that decide which layers a model has and how large they are
_ARCHITECTURE = ("model", "image_size", "network.", "head.pooling", "head.hidden", "head.batch_norm", "backbone.")
_NOT_ARCHITECTURE = ("network.dropout", "network.l2", "backbone.mirror")


def measure(study: Study, config: RunConfig, dataset: Dataset) -> dict[str, float]:
    """Return the metrics `efficiency/…` of a trial's model, on the devices that the objectives ask for.

    Raises:
        EngineError: The model cannot be measured.
    """
    objectives = [objective.metric for objective in study.space.objectives if objective.metric in COSTS]
    devices = {"gpu" if "gpu" in metric else "cpu" for metric in objectives if metric != TRAINING_SECONDS}
    metrics: dict[str, float] = {}
    for device in sorted(devices):
        key = f"cost.{device}.{_hash_architecture(config, dataset)}"
        device_metrics = study.user_attrs.get(key)
        if device_metrics is None:
            device_metrics = _measure(config, dataset, device)
            study.set_user_attr(key, device_metrics)
        metrics |= device_metrics
    return metrics


def _hash_architecture(config: RunConfig, dataset: Dataset) -> str:
    """Return a hash (16 hex digits) of what decides the costs."""
    settings = {
        key: value
        for key, value in config.flat().items()
        if key.startswith(_ARCHITECTURE) and key not in _NOT_ARCHITECTURE
    }
    content = [settings, dataset.shape, len(dataset.class_names)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _measure(config: RunConfig, dataset: Dataset, device: str) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        models.build(config, dataset.shape, len(dataset.class_names), pretrained=False).save(file)
        spec = MeasurementSpec(str(file), threads=certificate.usable_threads(), device=device, quick=True)
        return ModelCost(spec, (measurement.measure(spec),)).logged_metrics
