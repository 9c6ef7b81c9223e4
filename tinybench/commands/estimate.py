"""Estimate what a run will take before it is started: count what can be counted, and time a few steps."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import keras
import numpy as np
import psutil
from numpy.typing import NDArray

from tinybench import data, models
from tinybench.config.run_config import RunConfig
from tinybench.core import cache
from tinybench.core.errors import MissingDataError
from tinybench.data import splits
from tinybench.data.dataset import DatasetCard
from tinybench.efficiency import cost_metrics
from tinybench.features import engines, phase_banks
from tinybench.hardware import device
from tinybench.job import description, preflight
from tinybench.models import weights
from tinybench.models.model_cards import MODEL_CARDS
from tinybench.training import feed_selection, phases, precision
from tinybench.training.steps import ArraySource, Steps

_TIMED_STEPS = 3
_MAX_SECONDS = 4.0  # after which no further step is timed


@dataclass(frozen=True)
class PhaseEstimate:
    """The estimated time, memory and disk of a phase.

    Attributes:
        epochs: Largest number of epochs.
        steps: Training steps in an epoch.
        trainable: Number of parameters that are trained.
        seconds: Longest duration, over all folds: computing features, training, validation and the test images.
        features: Bytes of the feature bank; 0 for a phase that trains on pixels.
        features_seconds: The part of `seconds` in which features are computed.
    """

    epochs: int
    steps: int
    trainable: int
    seconds: float
    features: int = 0
    features_seconds: float = 0.0


@dataclass(frozen=True)
class RunEstimate:
    """The estimated time, memory and disk of a run.

    Attributes:
        images: Number of training, validation and test images.
        counted: The images were counted; otherwise the data are not here, and the numbers are the official ones.
        parameters: Number of parameters of the whole model.
        phases: The estimates of the phases by name.
        memory: Bytes of memory of this process after the timed steps.
        disk: Bytes of decoded images, features, checkpoints and artifacts.
        warnings: What the run will say about its data and weights before it trains, as far as it is known.
    """

    images: tuple[int, int, int]
    counted: bool
    parameters: int
    phases: dict[str, PhaseEstimate]
    memory: int
    disk: int
    warnings: tuple[str, ...] = ()


class _DataSize(NamedTuple):
    """The size of a run's data.

    Attributes:
        images: Number of training, validation and test images.
        classes: Number of classes.
        shape: Height, width and channels of an image.
        counted: The images were counted; otherwise these are the official numbers.
        warnings: What should be known about the data and the weights.
    """

    images: tuple[int, int, int]
    classes: int
    shape: tuple[int, int, int]
    counted: bool
    warnings: tuple[str, ...]


def estimate_run(config: RunConfig) -> RunEstimate:
    """Estimate what a run with a configuration will take.

    Nothing is downloaded: the official numbers stand for data that are not here, and weights are random. Steps are
    timed on random pixels.

    Raises:
        DataError: The folder of the data does not exist, or the data do not have what the configuration asks for.
        TinybenchError: A run with this configuration could only fail.
    """
    preflight.check_run(config)
    size = _count_images(config)
    device.select_device(config.device)
    model = models.build(config, size.shape, size.classes, pretrained=False)
    notes = (*_describe_download(config), *phases.list_notes(model, config))
    estimates = {phase: _estimate_phase(model, config, phase, size) for phase in config.phases}
    memory = int(psutil.Process().memory_info().rss)
    disk = sum(size.images) * math.prod(size.shape) + sum(estimate.features for estimate in estimates.values())
    disk += _artifact_bytes(config, model.count_params(), estimates)
    return RunEstimate(size.images, size.counted, model.count_params(), estimates, memory, disk, size.warnings + notes)


def _describe_download(config: RunConfig) -> list[str]:
    """Return what should be known of ImageNet weights that are not on this machine yet."""
    card = {card.name: card for card in MODEL_CARDS}.get(config.model)
    if config.weights != "imagenet" or card is None or card.weights_state() != "to download":
        return []
    source = config.backbone.mirror or os.environ.get(weights.MIRROR_VARIABLE) or "Keras's address"
    return [f"The ImageNet weights of {config.model} are not on this machine: the run downloads them from {source}."]


def _estimate_phase(model: keras.Model, config: RunConfig, phase: str, size: _DataSize) -> PhaseEstimate:
    """Estimate a phase; features are timed in Keras, although the run may choose a faster engine."""
    settings = config.phase_settings(phase)
    train_images, validation_images, test_images = size.images
    steps = math.ceil(train_images / config.batch_size)
    cut = None if feed_selection.reason_against_bank(config, phase) else phases.find_phase_cut(model, config, phase)
    bank_images = train_images * (1 + phase_banks.view_count(config, settings)) + validation_images
    bank_bytes = 0
    if cut is not None:
        bank_bytes = bank_images * math.prod(cut.shape) * (4 if config.precision == "float32" else 2)
        if bank_bytes > cache.size_budget(config.cache.budget):
            cut, bank_bytes = None, 0
    trainer = phases.build_trainer(model, config, phase, cut)
    train, forward = _time_steps(trainer, config, trainer.input_shape[1:], size.classes)
    extract = 0.0 if cut is None else _time_forward(cut.extractor, config, size.shape)
    seconds = settings.epochs * (steps * train + validation_images / config.batch_size * forward)
    seconds += test_images * (extract + forward) / config.batch_size
    # Folds share the features of the images
    extracting = bank_images * extract / config.batch_size
    seconds = (config.data.folds or 1) * seconds + extracting
    features_seconds = extracting + test_images * extract / config.batch_size
    trainable = int(cost_metrics.parameter_metrics(model, trainer)["efficiency/parameters_trainable"])
    return PhaseEstimate(settings.epochs, steps, trainable, seconds, bank_bytes, features_seconds)


def _count_images(config: RunConfig) -> _DataSize:
    """Count the images of a run; take the official numbers of data that are not here."""
    try:
        dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size, download=False)
    except MissingDataError:
        return _official_size(config, data.card(config.dataset))
    if config.data.folds:
        dataset = splits.make_fold(dataset, 0, config.data.folds, config.seed)
    warnings = tuple(description.list_warnings(config, dataset))
    images = (len(dataset.train), len(dataset.validation), len(dataset.test))
    return _DataSize(images, len(dataset.class_names), dataset.shape, counted=True, warnings=warnings)


def _official_size(config: RunConfig, card: DatasetCard) -> _DataSize:
    """Return the size of a run's data by the official numbers of the data set.

    Raises:
        MissingDataError: The data set has no official numbers.
        DataError: There are fewer classes than the configuration asks for.
    """
    if not (card.classes and card.train and card.test and card.shape):
        raise MissingDataError(f"{card.name} has no official numbers of images and classes to estimate with.")
    selected = config.data.classes
    if isinstance(selected, int):
        splits.select_classes(tuple(map(str, range(card.classes))), selected)  # raises DataError for too many
    classes = selected if isinstance(selected, int) else len(selected) if selected else card.classes
    train = min(card.train // card.classes, config.data.per_class or card.train) * classes
    test = min(card.test // card.classes, config.data.test_per_class or card.test) * classes
    validation = round(train * (1 / config.data.folds if config.data.folds else config.data.validation))
    warnings = tuple(description.warn_of_weights(config))
    return _DataSize((train - validation, validation, test), classes, card.shape, counted=False, warnings=warnings)


def _time_steps(trainer: keras.Model, config: RunConfig, shape: tuple[int, ...], classes: int) -> tuple[float, float]:
    """Return the seconds of a training step and of a forward pass on one batch, without the first call."""
    inputs = _random_batch(config, shape)
    labels = np.random.default_rng(0).integers(0, classes, config.batch_size)
    steps = Steps(trainer, config.batch_size)
    batch = ArraySource(inputs, labels)
    with precision.compute_in(trainer, "float32"):
        train = _seconds(lambda: steps.train(batch, lambda step, losses: None))
        return train, _seconds(lambda: steps.evaluate(batch))


def _time_forward(extractor: keras.Model, config: RunConfig, shape: tuple[int, ...]) -> float:
    """Return the seconds of the layers below the cut on one batch."""
    engine, pixels = engines.KerasEngine(extractor), _random_batch(config, shape).astype(np.float32)
    return _seconds(lambda: engine(pixels))


def _random_batch(config: RunConfig, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (config.batch_size, *shape), dtype=np.uint8)


def _seconds(step: Callable[[], object]) -> float:
    """Return the median seconds of a few steps after the first one, which compiles.

    Other work of the machine delays single steps, which a mean would take for the speed of all.
    """
    step()
    seconds: list[float] = []
    while len(seconds) < _TIMED_STEPS and sum(seconds) < _MAX_SECONDS:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def _artifact_bytes(config: RunConfig, parameters: int, estimates: dict[str, PhaseEstimate]) -> int:
    """Return the bytes of models, 4 for each parameter, and of checkpoints with the two moments of Adam."""
    model_count = (config.data.folds or 1) * (2 * len(estimates) + 1)
    largest = max(estimate.trainable for estimate in estimates.values())
    checkpoint_weights = (config.checkpoint.keep * 3 * (1 + len(estimates)) + 1) * largest
    return 4 * (model_count * parameters + checkpoint_weights)
