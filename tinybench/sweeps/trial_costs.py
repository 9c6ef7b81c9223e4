"""What a trial's model costs to run, measured once for all trials whose layers are the same."""

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

# What layers there are, and how large
_SHAPING = ("model", "image_size", "network.", "head.pooling", "head.hidden", "head.batch_norm", "backbone.")
_NOT_SHAPING = ("network.dropout", "network.l2", "backbone.mirror")


def of_trial(study: Study, config: RunConfig, dataset: Dataset) -> dict[str, float]:
    """`efficiency/…` of the model on the processor, or on the GPU where the objective asks for one.

    Raises:
        EngineError: it cannot be measured.
    """
    wanted = [each.figure for each in study.space.objectives if each.figure in COSTS]
    devices = {"gpu" if "gpu" in figure else "cpu" for figure in wanted if figure != TRAINING_SECONDS}
    found: dict[str, float] = {}
    for device in sorted(devices):
        key = f"cost.{device}.{_layers(config, dataset)}"
        known = study.kept(key)
        if known is None:
            known = _measured(config, dataset, device)
            study.keep(key, known)
        found |= known
    return found


def _layers(config: RunConfig, dataset: Dataset) -> str:
    """A hash of what decides the cost."""
    kept = {key: value for key, value in config.flat().items() if key.startswith(_SHAPING) and key not in _NOT_SHAPING}
    whole = [kept, dataset.shape, len(dataset.class_names)]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def _measured(config: RunConfig, dataset: Dataset, device: str) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        models.build(config, dataset.shape, len(dataset.class_names), pretrained=False).save(file)
        spec = MeasurementSpec(str(file), threads=certificate.usable_threads(), device=device, quick=True)
        return ModelCost(spec, (measurement.measure(spec),)).logged_metrics
