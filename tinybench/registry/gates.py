"""Apply the gates: compare a candidate with the champion, gate by gate. NumPy in, results out; nothing is loaded here.

To add a gate:

1. `registry/policy.py`: write a subclass of `Gate` with the limits and their defaults, and add a field of that type to
   `Policy`. The field's name is the gate's name in `gates.toml`; the order of the fields is the order of the results.
2. In this file: write a function `(gate, candidate, champion) -> GateResult`, and add it to `_CHECKS` under that name.
   The champion is None if there is none or it cannot be compared; the function then checks the limits that need none.
3. If the gate compares predictions image by image, add its name to `_NEED_SAME_TEST_IMAGES`.
4. If the gate needs something that `EvaluatedModel` does not have, add it there and fill it in `registry/evidence.py`.
5. Test what it refuses in `tests/registry/test_gates.py`, and describe it in the documentation of promotion.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinybench.efficiency import measurement
from tinybench.evaluation import calibration
from tinybench.evaluation.paired_difference import accuracy_difference
from tinybench.evaluation.predictions import Predictions
from tinybench.registry.policy import (
    GATES,
    AccuracyGate,
    CalibrationGate,
    ClassesGate,
    DataGate,
    LatencyGate,
    Policy,
    ReloadGate,
    SignatureGate,
    SizeGate,
)

NO_CHAMPION = "no champion"


@dataclass(frozen=True)
class EvaluatedModel:
    """A model with everything that the gates need to know of it.

    Attributes:
        name: Its name, for people.
        predictions: Predictions on the test images.
        temperature: The temperature that was fitted on its validation images.
        labels: The labels of its classes, in the order of its outputs.
        data_fingerprint: Fingerprint of the archive or folder that its images came from.
        test_hash: Hash of the test images.
        signature: Its MLflow signature, as MLflow writes it.
        reloaded: Rows (n,) of test images, and the probabilities (n, classes) that the model gave for them after it was
            loaded from the store; None if it was not loaded.
        reload_error: Why it could not be loaded; empty if it could.
        size_bytes: Size of its file.
        latencies_p99_ms: The 99th percentile of the latency of one image, of each round; empty if it was not measured.
        latency_error: Why the latency was not measured.
    """

    name: str
    predictions: Predictions
    temperature: float
    labels: tuple[str, ...]
    data_fingerprint: str
    test_hash: str
    signature: Mapping[str, Any]
    reloaded: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
    reload_error: str = ""
    size_bytes: int = 0
    latencies_p99_ms: tuple[float, ...] = ()
    latency_error: str = ""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(n,) whether each test image is classified correctly."""
        correct: NDArray[np.bool_] = self.predictions.logits.argmax(axis=1) == self.predictions.labels
        return correct

    @property
    def calibration_error(self) -> float:
        """The expected calibration error on the test images, at the model's temperature."""
        probabilities = self.predictions.probabilities(self.temperature)
        return calibration.bin_by_confidence(self.predictions.labels, probabilities).ece


@dataclass(frozen=True)
class LostChampion:
    """A champion whose run or files are gone.

    Attributes:
        reason: What is gone, for people.
    """

    reason: str


# Stores hold results of earlier versions of tinybench, which named these fields otherwise
_STORED_KEYS = {"passed": "holds", "observed": "found", "metrics": "figures"}
_FIELDS = {key: name for name, key in _STORED_KEYS.items()}


@dataclass(frozen=True)
class GateResult:
    """The result of a gate.

    Attributes:
        gate: The gate's name.
        passed: Whether the candidate may be promoted as far as this gate is concerned.
        observed: What was measured, for people.
        limit: What was required, for people.
        metrics: What was measured, as numbers.
    """

    gate: str
    passed: bool
    observed: str
    limit: str
    metrics: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the result with the keys under which it is stored, ready for JSON."""
        return {_STORED_KEYS.get(name, name): value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GateResult:
        """Return the result that `to_dict` wrote."""
        return cls(**{_FIELDS.get(key, key): value for key, value in values.items()})


def apply(
    policy: Policy, candidate: EvaluatedModel, champion: EvaluatedModel | LostChampion | None
) -> list[GateResult]:
    """Return the result of each gate of a policy; without a champion only limits that need none are checked.

    A candidate does not pass a gate that should compare it with the champion and cannot, because the champion is lost
    or was tested on other images.
    """
    lost = champion.reason if isinstance(champion, LostChampion) else ""
    compared = champion if isinstance(champion, EvaluatedModel) else None
    other_images = compared is not None and not _have_same_test_images(candidate, compared)
    results = []
    for name in GATES:
        gate = getattr(policy, name)
        if gate is None:
            continue
        obstacle = lost or ("other test images" if other_images and name in _NEED_SAME_TEST_IMAGES else "")
        result = _CHECKS[name](gate, candidate, None if obstacle else compared)
        results.append(_fail_uncompared(result, obstacle) if obstacle and gate.compares else result)
    return results


def _fail_uncompared(result: GateResult, reason: str) -> GateResult:
    text = f"not compared: {reason}"
    return replace(result, passed=False, observed=f"{result.observed}; {text}" if result.metrics else text)


def _have_same_test_images(candidate: EvaluatedModel, champion: EvaluatedModel) -> bool:
    first, second = candidate.predictions, champion.predictions
    alike = candidate.test_hash == champion.test_hash and first.class_count == second.class_count
    return alike and np.array_equal(first.rows, second.rows) and np.array_equal(first.labels, second.labels)


def _check_data(gate: DataGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    images = len(candidate.predictions.rows)
    limit = "the champion's test images" + (" and fingerprint" if gate.same_fingerprint else "")
    observed, passed = f"{images:,} test images", True
    if champion is not None:
        passed = _have_same_test_images(candidate, champion)
        observed += ", the champion's" if passed else ", others than the champion's"
        if gate.same_fingerprint:
            same = candidate.data_fingerprint == champion.data_fingerprint != ""
            observed += f"; fingerprint {candidate.data_fingerprint[:12]}"
            observed += "" if same else f", the champion's {champion.data_fingerprint[:12]}"
            passed = passed and same
    return GateResult("data", passed, observed, limit, {"images": float(images)})


def _check_signature(_: SignatureGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    limit = "inputs, outputs, parameters and labels of the champion"
    if champion is None:
        return GateResult("signature", True, NO_CHAMPION, limit, {})
    differences = [
        f"other {schema}"
        for schema in ("inputs", "outputs", "params")
        if not _is_compatible(candidate.signature.get(schema), champion.signature.get(schema))
    ]
    missing = [label for label in champion.labels if label not in candidate.labels]
    if missing:
        differences.append(f"{len(missing)} labels are missing")
    observed = ", ".join(differences) or "the same"
    return GateResult("signature", not differences, observed, limit, {"labels_missing": float(len(missing))})


def _is_compatible(schema: Any, required: Any) -> bool:
    """Return whether a schema has every column that another one has, with the same type."""
    columns = _parse_columns(schema)
    return all(columns.get(name) == column for name, column in _parse_columns(required).items())


def _parse_columns(schema: Any) -> dict[str, Any]:
    columns = json.loads(schema) if isinstance(schema, str) else schema or []
    return {str(column.get("name", index)): column for index, column in enumerate(columns)}


def _check_accuracy(gate: AccuracyGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    limit = f"interval above {-gate.delta:+.4g}"
    accuracy = float(candidate.correct.mean())
    passed = True
    if gate.min_accuracy is not None:
        limit = f"at least {gate.min_accuracy:.4g}, {limit}"
        passed = accuracy >= gate.min_accuracy
    if champion is None:
        return GateResult("accuracy", passed, f"{accuracy:.4f}", limit, {"accuracy": accuracy})
    difference, low, high = accuracy_difference(candidate.correct, champion.correct)
    observed = f"{accuracy:.4f}, {difference:+.4f} [{low:+.4f}, {high:+.4f}] against the champion"
    metrics = {"accuracy": accuracy, "difference": difference, "low": low, "high": high}
    return GateResult("accuracy", passed and low > -gate.delta, observed, limit, metrics)


def _check_classes(gate: ClassesGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    limit = f"no class of {gate.min_images:.0f} or more images falls by more than {gate.max_fall:.4g}"
    if champion is None:
        return GateResult("classes", True, NO_CHAMPION, limit, {})
    counts = np.bincount(candidate.predictions.labels, minlength=candidate.predictions.class_count)
    correct, champion_correct = (
        np.bincount(model.predictions.labels[model.correct], minlength=len(counts)) for model in (candidate, champion)
    )
    falls = (champion_correct - correct) / np.maximum(counts, 1)
    large = counts >= gate.min_images
    small = np.count_nonzero((counts > 0) & ~large)
    note = f"; {small} have fewer images" if small else ""
    if not large.any():
        return GateResult("classes", True, f"no class has so many images{note}", limit, {"judged": 0.0})
    worst = int(np.where(large, falls, -np.inf).argmax())
    fall = float(falls[worst])
    refused = int(np.count_nonzero(large & (falls > gate.max_fall)))
    worst_class = f"class {candidate.labels[worst]} fell most, by {fall:.4f}; {refused} by too much"
    observed = (worst_class if fall > 0 else "no class fell") + note
    return GateResult("classes", refused == 0, observed, limit, {"worst_fall": fall, "judged": float(large.sum())})


def _check_calibration(gate: CalibrationGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    error = candidate.calibration_error
    metrics = {"ece": error}
    limits, passed, observed = [], True, f"ECE {error:.4f}"
    if gate.max_ece is not None:
        limits.append(f"ECE at most {gate.max_ece:.4g}")
        passed = error <= gate.max_ece
    if gate.max_rise is not None:
        limits.append(f"at most {gate.max_rise:.4g} above the champion's")
        if champion is not None:
            metrics["rise"] = error - champion.calibration_error
            observed += f", {metrics['rise']:+.4f} against the champion"
            passed = passed and metrics["rise"] <= gate.max_rise
    return GateResult("calibration", passed, observed, ", ".join(limits), metrics)


def _check_reload(gate: ReloadGate, candidate: EvaluatedModel, _: EvaluatedModel | None) -> GateResult:
    limit = f"can be loaded, probabilities within {gate.tolerance:.4g} of those that the run stored"
    if candidate.reloaded is None:
        return GateResult("reload", False, candidate.reload_error, limit, {})
    rows, probabilities = candidate.reloaded
    indices = {row: index for index, row in enumerate(candidate.predictions.rows.tolist())}
    stored = candidate.predictions.probabilities(candidate.temperature)[[indices[row] for row in rows.tolist()]]
    difference = float(np.abs(stored - probabilities).max())
    observed = f"{len(rows)} images, probabilities differ by at most {difference:.2g}"
    metrics = {"images": float(len(rows)), "apart": difference}
    return GateResult("reload", difference <= gate.tolerance, observed, limit, metrics)


def _check_size(gate: SizeGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    ratio = None if champion is None else candidate.size_bytes / champion.size_bytes
    return _check_bounds("size", "MB", candidate.size_bytes / 1e6, gate.max_mb, ratio, gate.max_ratio)


def _check_latency(gate: LatencyGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    if not candidate.latencies_p99_ms:
        return GateResult("latency", False, f"not measured: {candidate.latency_error}", "measured", {})
    latency, ratio = median(candidate.latencies_p99_ms), None
    if champion is not None and champion.latencies_p99_ms:
        # Round by round, because other work of the machine slows down both models of a round
        rounds = zip(candidate.latencies_p99_ms, champion.latencies_p99_ms, strict=True)
        ratio = median(candidate_ms / champion_ms for candidate_ms, champion_ms in rounds)
    result = _check_bounds("latency", "ms (p99)", latency, gate.max_p99_ms, ratio, gate.max_ratio)
    if champion is None or not gate.compares:
        return result
    if not champion.latencies_p99_ms:
        return _fail_uncompared(result, f"the champion: {champion.latency_error}")
    noise = measurement.noise([champion.latencies_p99_ms])
    return replace(result, observed=f"{result.observed}, which differs from itself by {noise:.0%}")


def _check_bounds(
    gate: str, unit: str, value: float, maximum: float | None, ratio: float | None, max_ratio: float | None
) -> GateResult:
    """Check a value against a maximum, and its ratio to the champion's value against another one.

    Args:
        gate: The gate's name.
        unit: The unit of the value.
        value: The candidate's value.
        maximum: The largest value allowed; None for any.
        ratio: The ratio to the champion's value; None if there is no champion.
        max_ratio: The largest ratio allowed; None for any.
    """
    metrics, observed, limits, passed = {"value": value}, f"{value:.4g} {unit}", [], True
    if maximum is not None:
        limits.append(f"at most {maximum:.4g} {unit}")
        passed = value <= maximum
    if max_ratio is not None:
        limits.append(f"at most {max_ratio:.4g} times the champion's")
        if ratio is not None:
            metrics["ratio"] = ratio
            observed += f", {ratio:.3g} times the champion's"
            passed = passed and ratio <= max_ratio
    return GateResult(gate, passed, observed, ", ".join(limits) or "none", metrics)


_CHECKS: Mapping[str, Callable[[Any, EvaluatedModel, EvaluatedModel | None], GateResult]] = {
    "data": _check_data,
    "signature": _check_signature,
    "accuracy": _check_accuracy,
    "classes": _check_classes,
    "calibration": _check_calibration,
    "reload": _check_reload,
    "size": _check_size,
    "latency": _check_latency,
}
_NEED_SAME_TEST_IMAGES = ("accuracy", "classes", "calibration")
