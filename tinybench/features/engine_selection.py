"""Choose the engine that runs the frozen part of a model fastest on this machine.

No engine is fastest everywhere, so `auto` measures: each candidate runs real images for a moment, its
features are compared with those of Keras in float32, and the fastest that agrees is chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.core import interruption
from tinybench.core.errors import EngineError, format_error
from tinybench.features import engines
from tinybench.features.engines import Engine, Features, Pixels

# The smallest cosine of an image that counts as agreement: bfloat16 gives .98 on EfficientNet-Lite0, the worst
# network measured, and a head trained on such features was not less accurate.
MIN_COSINE = 0.97

# Largest difference from Keras's features, as a share of how far the images are from their mean
_MAX_NOISE = 0.25

# Share of images for which a trained head must predict the same label
_MIN_SAME_LABELS = 0.95

# Below this many seconds of work in Keras, a choice costs more than it can save
_MIN_WORK_SECONDS = 20.0

_SECONDS = 1.0  # of each measurement
_MIN_IMAGES, _MAX_IMAGES = 8, 64


@dataclass(frozen=True)
class EngineMeasurement:
    """The measurements of a candidate engine.

    Attributes:
        engine: Its name.
        precision: What it computes in: float32 or bfloat16.
        images_per_second: On real images; 0 if it was not timed.
        error: Norm of the difference from the features of Keras in float32, relative to their norm.
        noise: The same norm relative to how far the images are from their mean.
        cosine: The smallest cosine of an image's features with those of Keras in float32.
        agreement: Share of images for which the head predicts the same label; None without a trained head.
        reason: Why it cannot be chosen; empty if it can.
    """

    engine: str
    precision: str
    images_per_second: float = 0.0
    error: float = 0.0
    noise: float = 0.0
    cosine: float = 1.0
    agreement: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class EngineChoice:
    """The chosen engine, and how all candidates fared, Keras in float32 first."""

    engine: Engine
    trials: tuple[EngineMeasurement, ...]

    @property
    def chosen_measurement(self) -> EngineMeasurement:
        """The trial of the chosen engine."""
        key = (self.engine.name, self.engine.precision)
        return next(trial for trial in self.trials if (trial.engine, trial.precision) == key)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the trials as plain values."""
        return [asdict(trial) for trial in self.trials]


def choose_engine(
    extractor: keras.Model,
    images: Pixels,
    work: int,
    *,
    engine: str = "auto",
    precision: str = "auto",
    head: Callable[[Features], NDArray[np.floating]] | None = None,
) -> EngineChoice:
    """Return the fastest engine that agrees with Keras in float32.

    Args:
        extractor: Raw pixels to features, called in inference mode.
        images: Some 64 real images (n, height, width, channels), float32, to time and compare engines on.
        work: Number of images that the engine will run; if Keras needs only a moment for them, Keras is chosen.
        engine: `auto`, or the name of the engine to use.
        precision: `auto`, or `float32` to allow nothing else.
        head: Returns a trained head's probabilities (n, classes) for features, to compare predicted labels.

    Raises:
        EngineError: The requested engine is not installed, cannot run the model, or does not agree.
    """
    reference = engines.KerasEngine(extractor)
    first_images = images[:_MIN_IMAGES]
    reference(first_images)  # compiles
    speed = _images_per_second(reference, first_images)
    sample = images[: int(np.clip(2 * speed * _SECONDS, _MIN_IMAGES, _MAX_IMAGES))]
    expected = reference(sample)
    if len(sample) > len(first_images):
        speed = _images_per_second(reference, sample)
    trials = [EngineMeasurement(reference.name, reference.precision, speed)]
    if engine == "keras" or (engine == "auto" and work < _MIN_WORK_SECONDS * speed):
        return EngineChoice(reference, tuple(trials))

    best: Engine = reference
    for name, computing, build in engines.candidates(extractor, engine, precision):
        candidate, trial = _try_engine(name, computing, build, sample, expected, head)
        trials.append(trial)
        fastest = max(usable.images_per_second for usable in trials if not usable.reason)
        if candidate is not None and (engine != "auto" or trial.images_per_second >= fastest):
            best = candidate
            if engine != "auto":
                break
    if engine not in ("auto", best.name):
        failures = "; ".join(trial.reason for trial in trials if trial.engine == engine)
        raise EngineError(
            f"Engine {engine} cannot be used here ({failures or engines.reason_absent(engine, precision)}): "
            "set engine to auto."
        )
    return EngineChoice(best, tuple(trials))


def _try_engine(
    name: str,
    precision: str,
    build: Callable[[], Engine],
    sample: Pixels,
    expected: Features,
    head: Callable[[Features], NDArray[np.floating]] | None,
) -> tuple[Engine | None, EngineMeasurement]:
    """Return an engine and how it fared; no engine if it cannot be chosen."""
    try:
        with interruption.restored():
            engine = build()
            features = engine(sample)
    except Exception as error:  # whatever a converter or a compiler raises, the next candidate may work
        return None, EngineMeasurement(name, precision, 0.0, 1.0, 1.0, 0.0, reason=format_error(error)[:300])
    unusable = _reason_unusable(features, expected)
    if unusable:
        return None, EngineMeasurement(name, precision, 0.0, 1.0, 1.0, 0.0, reason=unusable)
    trial = EngineMeasurement(name, precision, 0.0, *_compare_features(features, expected))
    if trial.cosine < MIN_COSINE or trial.noise > _MAX_NOISE:
        reason = f"its features differ: cosine {trial.cosine:.4f}, noise {trial.noise:.3f} of what images differ by"
        return None, replace(trial, reason=reason)
    if head is not None:
        agreement = float(np.mean(_predict_labels(head, features) == _predict_labels(head, expected)))
        trial = replace(trial, agreement=agreement)
        if agreement < _MIN_SAME_LABELS:
            return None, replace(trial, reason=f"its labels differ: {agreement:.1%} agree")
    return engine, replace(trial, images_per_second=_images_per_second(engine, sample))


def _reason_unusable(features: Features, expected: Features) -> str:
    """Return why features cannot be compared; empty if they can."""
    if features.shape != expected.shape:
        return f"its features have another shape: {features.shape}, not {expected.shape}"
    return "" if np.isfinite(features).all() else "its features are not all finite"


def _compare_features(features: Features, expected: Features) -> tuple[float, float, float]:
    """Return `error`, `noise` and `cosine` of a trial."""
    ours, theirs = (values.reshape(len(values), -1).astype(np.float64) for values in (features, expected))
    distance = float(np.linalg.norm(ours - theirs))
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    products = (ours * theirs).sum(axis=1)
    cosines = np.where(norms > 0, products / np.where(norms > 0, norms, 1), (ours == theirs).all(axis=1))
    # A network may see little difference between images: then a small relative error says nothing
    spread = float(np.linalg.norm(theirs - theirs.mean(axis=0)))
    error = distance / max(float(np.linalg.norm(theirs)), 1e-30)
    return error, distance / spread if spread > 0 else error, float(cosines.min())


def _predict_labels(head: Callable[[Features], NDArray[np.floating]], features: Features) -> NDArray[np.int64]:
    labels: NDArray[np.int64] = np.argmax(head(features), axis=1)
    return labels


def _images_per_second(engine: Engine, images: Pixels) -> float:
    """Return the speed of the fastest of several passes, since noise only slows."""
    durations: list[float] = []
    while sum(durations) < _SECONDS:
        start_time = time.perf_counter()
        engine(images)
        durations.append(time.perf_counter() - start_time)
    return len(images) / min(durations)
