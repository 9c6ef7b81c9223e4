"""The gates: a candidate beside the champion, figure by figure. NumPy in, verdicts out; nothing is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
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
    """A model as the gates see it.

    Attributes:
        name: For people.
        answers: On the test images.
        temperature: Fitted on its validation images.
        labels: Of its classes, in the order of its outputs.
        data: Fingerprint of the archive or folder that its images came from.
        test: Fingerprint of the test images.
        signature: Its MLflow signature, as MLflow writes it.
        reloaded: Rows of test images and the probabilities that the model, loaded again, gave for them.
        trouble: Why it could not be loaded; empty where it could.
        bytes: Of its file.
        p99_ms: Latency of one image, of each round; none where it was not measured, for the reason in
            `trouble_measuring`.
        trouble_measuring: Why there is no latency.
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


@dataclass(frozen=True)
class LostChampion:
    """A champion that cannot be looked at any more.

    Attributes:
        why: For people.
    """

    reason: str


@dataclass(frozen=True)
class GateResult:
    """What a gate found.

    Attributes:
        gate: Its name.
        holds: Whether the candidate may pass.
        found: The figure, in words.
        limit: What it must be, in words.
        figures: The numbers behind it.
    """

    gate: str
    passed: bool
    observed: str
    limit: str
    metrics: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def apply(policy: Policy, candidate: EvaluatedModel, champion: EvaluatedModel | LostChampion | None) -> list[GateResult]:
    """The verdict of each gate of a policy; without a champion, of the limits that need none.

    A gate that should compare and cannot, for the champion is lost or was tested on other images, does not hold.
    """
    lost = champion.reason if isinstance(champion, LostChampion) else ""
    beside = champion if isinstance(champion, EvaluatedModel) else None
    others = "other test images" if beside is not None and not _have_same_test_images(candidate, beside) else ""
    judges: Mapping[str, tuple[Callable[..., GateResult], str]] = {
        "data": (_check_data, lost),
        "signature": (_check_signature, lost),
        "accuracy": (_check_accuracy, lost or others),
        "classes": (_check_classes, lost or others),
        "calibration": (_check_calibration, lost or others),
        "reload": (_check_reload, ""),
        "size": (_check_size, lost),
        "latency": (_check_latency, lost),
    }
    found = []
    for name in GATES:
        gate, (judged, why) = getattr(policy, name), judges[name]
        if gate is not None:
            verdict = judged(gate, candidate, None if why else beside)
            found.append(_fail_uncompared(verdict, why) if why and gate.compares else verdict)
    return found


def _fail_uncompared(verdict: GateResult, why: str) -> GateResult:
    words = f"not compared: {why}"
    return replace(verdict, passed=False, observed=f"{verdict.observed}; {words}" if verdict.metrics else words)


def _have_same_test_images(one: EvaluatedModel, other: EvaluatedModel) -> bool:
    a, b = one.predictions, other.predictions
    alike = one.test_hash == other.test_hash and a.class_count == b.class_count
    return alike and np.array_equal(a.rows, b.rows) and np.array_equal(a.labels, b.labels)


def _check_data(gate: DataGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    images = len(candidate.predictions.rows)
    limit = "the champion's test images" + (" and fingerprint" if gate.same_fingerprint else "")
    found, holds = f"{images:,} test images", True
    if champion is not None:
        holds = _have_same_test_images(candidate, champion)
        found += ", the champion's" if holds else ", others than the champion's"
        if gate.same_fingerprint:
            same = candidate.data_fingerprint == champion.data_fingerprint != ""
            found += f"; fingerprint {candidate.data_fingerprint[:12]}" + ("" if same else f", the champion's {champion.data_fingerprint[:12]}")
            holds = holds and same
    return GateResult("data", holds, found, limit, {"images": float(images)})


def _check_signature(_: SignatureGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    limit = "inputs, outputs, parameters and labels of the champion"
    if champion is None:
        return GateResult("signature", True, NO_CHAMPION, limit, {})
    differing = [
        part
        for part in ("inputs", "outputs", "params")
        if not _is_compatible(candidate.signature.get(part), champion.signature.get(part))
    ]
    gone = [label for label in champion.labels if label not in candidate.labels]
    found = [f"other {part}" for part in differing] + ([f"{len(gone)} labels are missing"] if gone else [])
    return GateResult("signature", not found, ", ".join(found) or "the same", limit, {"labels_missing": float(len(gone))})


def _is_compatible(own: Any, wanted: Any) -> bool:
    """Whether clients of one schema can use the other: all it has is there, alike."""
    have, need = (_parse_columns(each) for each in (own, wanted))
    return all(have.get(name) == column for name, column in need.items())


def _parse_columns(schema: Any) -> dict[str, Any]:
    import json

    listed = json.loads(schema) if isinstance(schema, str) else schema or []
    return {str(each.get("name", place)): each for place, each in enumerate(listed)}


def _check_accuracy(gate: AccuracyGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    limit = f"interval above {-gate.delta:+.4g}"
    own = float(_hits(candidate).mean())
    enough = True
    if gate.min_accuracy is not None:
        limit = f"at least {gate.min_accuracy:.4g}, {limit}"
        enough = own >= gate.min_accuracy
    if champion is None:
        return GateResult("accuracy", enough, f"{own:.4f}", limit, {"accuracy": own})
    value, low, high = accuracy_difference(_hits(candidate), _hits(champion))
    found = f"{own:.4f}, {value:+.4f} [{low:+.4f}, {high:+.4f}] against the champion"
    figures = {"accuracy": own, "difference": value, "low": low, "high": high}
    return GateResult("accuracy", enough and low > -gate.delta, found, limit, figures)


def _check_classes(gate: ClassesGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    limit = f"no class of {gate.min_images:.0f} or more images falls by more than {gate.max_fall:.4g}"
    if champion is None:
        return GateResult("classes", True, NO_CHAMPION, limit, {})
    labels = candidate.predictions.labels
    counts = np.bincount(labels, minlength=candidate.predictions.class_count)
    falls = (_count_hits(champion, counts) - _count_hits(candidate, counts)) / np.maximum(counts, 1)
    judged = counts >= gate.min_images
    few = f"; {np.count_nonzero((counts > 0) & ~judged)} have fewer images" if (~judged & (counts > 0)).any() else ""
    if not judged.any():
        return GateResult("classes", True, f"no class has so many images{few}", limit, {"judged": 0.0})
    worst = int(np.where(judged, falls, -np.inf).argmax())
    fall = float(falls[worst])
    too_far = int(np.count_nonzero(judged & (falls > gate.max_fall)))
    fell = f"class {candidate.labels[worst]} fell most, by {fall:.4f}; {too_far} by too much"
    found = (fell if fall > 0 else "no class fell") + few
    return GateResult("classes", too_far == 0, found, limit, {"worst_fall": fall, "judged": float(judged.sum())})


def _count_hits(subject: EvaluatedModel, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Images of each class that were answered rightly."""
    return np.bincount(subject.predictions.labels[_hits(subject)], minlength=len(counts))


def _hits(subject: EvaluatedModel) -> NDArray[np.bool_]:
    """Whether each image was answered rightly."""
    right: NDArray[np.bool_] = subject.predictions.logits.argmax(axis=1) == subject.predictions.labels
    return right


def _check_calibration(gate: CalibrationGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    own = _calibration_error(candidate)
    figures = {"ece": own}
    limits, holds, found = [], True, f"ECE {own:.4f}"
    if gate.max_ece is not None:
        limits.append(f"ECE at most {gate.max_ece:.4g}")
        holds = own <= gate.max_ece
    if gate.max_rise is not None:
        limits.append(f"at most {gate.max_rise:.4g} above the champion's")
        if champion is not None:
            figures["rise"] = own - _calibration_error(champion)
            found += f", {figures['rise']:+.4f} against the champion"
            holds = holds and figures["rise"] <= gate.max_rise
    return GateResult("calibration", holds, found, ", ".join(limits), figures)


def _calibration_error(subject: EvaluatedModel) -> float:
    return calibration.bin_by_confidence(subject.predictions.labels, subject.predictions.probabilities(subject.temperature)).ece


def _check_reload(gate: ReloadGate, candidate: EvaluatedModel, _: EvaluatedModel | None) -> GateResult:
    limit = f"loads again, probabilities within {gate.tolerance:.4g} of those that the run kept"
    if candidate.reloaded is None:
        return GateResult("reload", False, candidate.reload_error, limit, {})
    rows, given = candidate.reloaded
    places = {row: place for place, row in enumerate(candidate.predictions.rows.tolist())}
    kept = candidate.predictions.probabilities(candidate.temperature)[[places[row] for row in rows.tolist()]]
    apart = float(np.abs(kept - given).max())
    found = f"{len(rows)} images, {apart:.2g} apart at most"
    return GateResult("reload", apart <= gate.tolerance, found, limit, {"images": float(len(rows)), "apart": apart})


def _check_size(gate: SizeGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    times = None if champion is None else candidate.size_bytes / champion.size_bytes
    return _check_bound("size", "MB", candidate.size_bytes / 1e6, gate.max_mb, times, gate.max_ratio)


def _check_latency(gate: LatencyGate, candidate: EvaluatedModel, champion: EvaluatedModel | None) -> GateResult:
    if not candidate.latencies_p99_ms:
        return GateResult("latency", False, f"not measured: {candidate.latency_error}", "measured", {})
    own, times = median(candidate.latencies_p99_ms), None
    if champion is not None and champion.latencies_p99_ms:  # by round, since what else the machine did then fell on both
        times = median(one / other for one, other in zip(candidate.latencies_p99_ms, champion.latencies_p99_ms, strict=True))
    found = _check_bound("latency", "ms (p99)", own, gate.max_p99_ms, times, gate.max_ratio)
    if champion is None or not gate.compares:
        return found
    if not champion.latencies_p99_ms:
        return _fail_uncompared(found, f"the champion: {champion.latency_error}")
    apart = measurement.noise([champion.latencies_p99_ms])
    return replace(found, observed=f"{found.observed}, which differs from itself by {apart:.0%}")


def _check_bound(gate: str, unit: str, own: float, most: float | None, times: float | None, ratio: float | None) -> GateResult:
    """A figure below a limit, and so many times the champion's at most."""
    figures, found, limits, holds = {"value": own}, f"{own:.4g} {unit}", [], True
    if most is not None:
        limits.append(f"at most {most:.4g} {unit}")
        holds = own <= most
    if ratio is not None:
        limits.append(f"at most {ratio:.4g} times the champion's")
        if times is not None:
            figures["ratio"] = times
            found += f", {times:.3g} times the champion's"
            holds = holds and times <= ratio
    return GateResult(gate, holds, found, ", ".join(limits) or "none", figures)
