"""Load what a run needs besides its configuration, before it is opened: what fails here leaves no run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from tinybench import data, models
from tinybench.core import waiting
from tinybench.data import splits
from tinybench.hardware import device
from tinybench.tracking import run_record
from tinybench.training import phases

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.tracker import Tracker


@dataclass(frozen=True)
class RunInputs:
    """The inputs of a run besides its configuration.

    Attributes:
        device: The device, as `hardware.device.select_device` returned it.
        dataset: The images.
        first_split: The images as the first fold splits them; the same for a run without folds.
    """

    device: str
    dataset: Dataset
    first_split: Dataset


def load_inputs(config: RunConfig) -> RunInputs:
    """Choose the device and load the data.

    Raises:
        DeviceError: There is no such device.
        DataError: The data are absent or damaged, or do not allow the split that the settings ask for.
    """
    device_name = device.select_device(config.device)
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    folds = config.data.folds
    return RunInputs(device_name, dataset, splits.make_fold(dataset, 0, folds, config.seed) if folds else dataset)


def build_first_model(config: RunConfig, dataset: Dataset, tracker: Tracker, start_from: str | None) -> keras.Model:
    """Return the model with which the first phase begins: new, or with the best weights of another run.

    Args:
        config: The run's configuration.
        dataset: The images.
        tracker: The store of the other run.
        start_from: The other run; None for a new model.

    Raises:
        ConfigError: A setting does not fit the model.
        ModelError: The model cannot be built.
        WeightsError: Its weights cannot be fetched or loaded.
    """
    device.make_repeatable(config.seed, config.deterministic)
    if start_from is not None:
        return run_record.load_best_model(tracker, start_from, dataset)
    with waiting.tell_if_slow(f"building {config.model_name}"):
        model = models.build(config, dataset.shape, len(dataset.class_names))
    phases.check_model(model, config)  # before hours of training, not after
    return model
