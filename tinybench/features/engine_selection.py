"""Engines: what runs the frozen part of a model, and which of them is fastest here.

No engine is fastest everywhere, so `auto` measures: each candidate runs real images for a moment, its
features are compared with those of Keras in float32, and the fastest that agrees is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.core.errors import EngineError, in_one_line

Pixels = NDArray[np.float32]
Features = NDArray[np.float32]

# The smallest cosine of an image that counts as agreement: bfloat16 gives .98 on EfficientNet-Lite0, the worst
# network measured, and a head trained on such features was not less accurate.
AGREEMENT = 0.97

# Share of what images differ by that may be noise
_NOISE = 0.25

# Share of images on which a trained head must say the same
_SAME_LABELS = 0.95

# Below so many seconds of work in Keras, a choice costs more than it can save
_WORTH = 20.0

_MOMENT = 1.0
_FEW, _MOST = 8, 64


class Engine(Protocol):
    """Runs a frozen model.

    Attributes:
        name: As in the setting `engine`.
        precision: In which it computes: float32 or bfloat16.
    """

    name: str
    precision: str

    def __call__(self, pixels: Pixels) -> Features:
        """Features (n, *shape) float32 of pixels (n, height, width, channels) float32."""
        ...


@dataclass(frozen=True)
class Trial:
    """What came of a candidate.

    Attributes:
        engine: Its name.
        precision: In which it computes.
        images_per_second: On real images; 0 when it was not timed.
        error: Distance of its features from those of Keras in float32, as a share of their norm.
        noise: The same distance as a share of how far the images are from their mean.
        cosine: The smallest over the images, with those of Keras in float32.
        agreement: Share of images on which the head gives the same label; None without a trained head.
        reason: Why it is out of the question; empty when it is not.
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
class Choice:
    """The engine that was taken, and how all candidates fared, Keras in float32 first."""

    engine: Engine
    trials: tuple[Trial, ...]

    @property
    def taken(self) -> Trial:
        """The trial of the engine that was taken."""
        wanted = (self.engine.name, self.engine.precision)
        return next(trial for trial in self.trials if (trial.engine, trial.precision) == wanted)

    def as_json(self) -> list[dict[str, Any]]:
        """The trials as plain values."""
        return [asdict(trial) for trial in self.trials]


def choose(
    extractor: keras.Model,
    images: Pixels,
    work: int,
    *,
    engine: str = "auto",
    precision: str = "auto",
    head: Callable[[Features], NDArray[np.floating]] | None = None,
) -> Choice:
    """The fastest engine that agrees with Keras in float32.

    Args:
        extractor: Raw pixels to features, called in inference mode.
        images: Real images, `_MOST` or so, to time and compare on.
        work: Images that are to be run; where that is done in a moment, Keras does it.
        engine: `auto`, or the name of the one to use.
        precision: `auto`, or `float32` to allow nothing else.
        head: A trained head's probabilities from features, to compare labels by.

    Raises:
        EngineError: the engine that is asked for is not there, or cannot run the model, or does not agree.
    """
    from tinybench.features import engines

    reference = engines.Keras(extractor)
    few = images[:_FEW]
    reference(few)  # compiles
    speed = _speed(reference, few)
    sample = images[: int(np.clip(2 * speed * _MOMENT, _FEW, _MOST))]
    expected = reference(sample)
    if len(sample) > len(few):
        speed = _speed(reference, sample)
    trials = [Trial(reference.name, reference.precision, speed)]
    if engine == "keras" or (engine == "auto" and work < _WORTH * trials[0].images_per_second):
        return Choice(reference, tuple(trials))

    best: Engine = reference
    candidates = engines.candidates(extractor, engine, precision)
    for name, computing, make in candidates:
        found, trial = _tried(name, computing, make, sample, expected, head)
        trials.append(trial)
        fastest = max(each.images_per_second for each in trials if not each.reason)
        if found is not None and (engine != "auto" or trial.images_per_second >= fastest):
            best = found
            if engine != "auto":
                break
    if engine not in ("auto", best.name):
        reasons = "; ".join(trial.reason for trial in trials if trial.engine == engine)
        raise EngineError(
            f"Engine {engine} cannot be used here ({reasons or engines.absence(engine, precision)}): "
            "set engine to auto."
        )
    return Choice(best, tuple(trials))


def _tried(
    name: str,
    precision: str,
    make: Callable[[], Engine],
    sample: Pixels,
    expected: Features,
    head: Callable[[Features], NDArray[np.floating]] | None,
) -> tuple[Engine | None, Trial]:
    """An engine and how it fared; no engine when it is out of the question."""
    try:
        engine = make()
        features = engine(sample)
    except Exception as error:  # whatever a converter or a compiler raises, the next candidate may do
        return None, Trial(name, precision, 0.0, 1.0, 1.0, 0.0, reason=in_one_line(error)[:300])
    unusable = _unusable(features, expected)
    if unusable:
        return None, Trial(name, precision, 0.0, 1.0, 1.0, 0.0, reason=unusable)
    trial = Trial(name, precision, 0.0, *_compared(features, expected))
    if trial.cosine < AGREEMENT or trial.noise > _NOISE:
        reason = f"its features differ: cosine {trial.cosine:.4f}, noise {trial.noise:.3f} of what images differ by"
        return None, replace(trial, reason=reason)
    if head is not None:
        same = float(np.mean(_labels(head, features) == _labels(head, expected)))
        trial = replace(trial, agreement=same)
        if same < _SAME_LABELS:
            return None, replace(trial, reason=f"its labels differ: {same:.1%} agree")
    return engine, replace(trial, images_per_second=_speed(engine, sample))


def _unusable(features: Features, expected: Features) -> str:
    """Why features cannot even be compared; empty when they can."""
    if features.shape != expected.shape:
        return f"its features have another shape: {features.shape}, not {expected.shape}"
    return "" if np.isfinite(features).all() else "its features are not all finite"


def _compared(features: Features, expected: Features) -> tuple[float, float, float]:
    """`error`, `noise` and `cosine` of a trial."""
    ours, theirs = (values.reshape(len(values), -1).astype(np.float64) for values in (features, expected))
    distance = float(np.linalg.norm(ours - theirs))
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    products = (ours * theirs).sum(axis=1)
    cosines = np.where(norms > 0, products / np.where(norms > 0, norms, 1), (ours == theirs).all(axis=1))
    # Images may be so alike to a network that any other's features would pass for an image's own
    spread = float(np.linalg.norm(theirs - theirs.mean(axis=0)))
    error = distance / max(float(np.linalg.norm(theirs)), 1e-30)
    return error, distance / spread if spread > 0 else error, float(cosines.min())


def _labels(head: Callable[[Features], NDArray[np.floating]], features: Features) -> NDArray[np.int64]:
    labels: NDArray[np.int64] = np.argmax(head(features), axis=1)
    return labels


def _speed(engine: Engine, images: Pixels) -> float:
    """Images a second over a moment: the fastest of its passes, since noise only slows."""
    passes: list[float] = []
    while sum(passes) < _MOMENT:
        began = time.perf_counter()
        engine(images)
        passes.append(time.perf_counter() - began)
    return len(images) / min(passes)
