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
from tinybench.evaluation.predictions import Answers
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
class Subject:
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
    answers: Answers
    temperature: float
    labels: tuple[str, ...]
    data: str
    test: str
    signature: Mapping[str, Any]
    reloaded: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
    trouble: str = ""
    bytes: int = 0
    p99_ms: tuple[float, ...] = ()
    trouble_measuring: str = ""


@dataclass(frozen=True)
class Lost:
    """A champion that cannot be looked at any more.

    Attributes:
        why: For people.
    """

    why: str


@dataclass(frozen=True)
class Verdict:
    """What a gate found.

    Attributes:
        gate: Its name.
        holds: Whether the candidate may pass.
        found: The figure, in words.
        limit: What it must be, in words.
        figures: The numbers behind it.
    """

    gate: str
    holds: bool
    found: str
    limit: str
    figures: Mapping[str, float]

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def judge(policy: Policy, candidate: Subject, champion: Subject | Lost | None) -> list[Verdict]:
    """The verdict of each gate of a policy; without a champion, of the limits that need none.

    A gate that should compare and cannot, for the champion is lost or was tested on other images, does not hold.
    """
    lost = champion.why if isinstance(champion, Lost) else ""
    beside = champion if isinstance(champion, Subject) else None
    others = "other test images" if beside is not None and not _same_rows(candidate, beside) else ""
    judges: Mapping[str, tuple[Callable[..., Verdict], str]] = {
        "data": (_data, lost),
        "signature": (_signature, lost),
        "accuracy": (_accuracy, lost or others),
        "classes": (_classes, lost or others),
        "calibration": (_calibration, lost or others),
        "reload": (_reload, ""),
        "size": (_size, lost),
        "latency": (_latency, lost),
    }
    found = []
    for name in GATES:
        gate, (judged, why) = getattr(policy, name), judges[name]
        if gate is not None:
            verdict = judged(gate, candidate, None if why else beside)
            found.append(_uncompared(verdict, why) if why and gate.compares else verdict)
    return found


def _uncompared(verdict: Verdict, why: str) -> Verdict:
    words = f"not compared: {why}"
    return replace(verdict, holds=False, found=f"{verdict.found}; {words}" if verdict.figures else words)


def _same_rows(one: Subject, other: Subject) -> bool:
    a, b = one.answers, other.answers
    alike = one.test == other.test and a.classes == b.classes
    return alike and np.array_equal(a.rows, b.rows) and np.array_equal(a.labels, b.labels)


def _data(gate: DataGate, candidate: Subject, champion: Subject | None) -> Verdict:
    images = len(candidate.answers.rows)
    limit = "the champion's test images" + (" and fingerprint" if gate.same_fingerprint else "")
    found, holds = f"{images:,} test images", True
    if champion is not None:
        holds = _same_rows(candidate, champion)
        found += ", the champion's" if holds else ", others than the champion's"
        if gate.same_fingerprint:
            same = candidate.data == champion.data != ""
            found += f"; fingerprint {candidate.data[:12]}" + ("" if same else f", the champion's {champion.data[:12]}")
            holds = holds and same
    return Verdict("data", holds, found, limit, {"images": float(images)})


def _signature(_: SignatureGate, candidate: Subject, champion: Subject | None) -> Verdict:
    limit = "inputs, outputs, parameters and labels of the champion"
    if champion is None:
        return Verdict("signature", True, NO_CHAMPION, limit, {})
    differing = [
        part
        for part in ("inputs", "outputs", "params")
        if not _serves(candidate.signature.get(part), champion.signature.get(part))
    ]
    gone = [label for label in champion.labels if label not in candidate.labels]
    found = [f"other {part}" for part in differing] + ([f"{len(gone)} labels are missing"] if gone else [])
    return Verdict("signature", not found, ", ".join(found) or "the same", limit, {"labels_missing": float(len(gone))})


def _serves(own: Any, wanted: Any) -> bool:
    """Whether clients of one schema can use the other: all it has is there, alike."""
    have, need = (_columns(each) for each in (own, wanted))
    return all(have.get(name) == column for name, column in need.items())


def _columns(schema: Any) -> dict[str, Any]:
    import json

    listed = json.loads(schema) if isinstance(schema, str) else schema or []
    return {str(each.get("name", place)): each for place, each in enumerate(listed)}


def _accuracy(gate: AccuracyGate, candidate: Subject, champion: Subject | None) -> Verdict:
    limit = f"interval above {-gate.delta:+.4g}"
    own = float(_hits(candidate).mean())
    enough = True
    if gate.min_accuracy is not None:
        limit = f"at least {gate.min_accuracy:.4g}, {limit}"
        enough = own >= gate.min_accuracy
    if champion is None:
        return Verdict("accuracy", enough, f"{own:.4f}", limit, {"accuracy": own})
    value, low, high = accuracy_difference(_hits(candidate), _hits(champion))
    found = f"{own:.4f}, {value:+.4f} [{low:+.4f}, {high:+.4f}] against the champion"
    figures = {"accuracy": own, "difference": value, "low": low, "high": high}
    return Verdict("accuracy", enough and low > -gate.delta, found, limit, figures)


def _classes(gate: ClassesGate, candidate: Subject, champion: Subject | None) -> Verdict:
    limit = f"no class of {gate.min_images:.0f} or more images falls by more than {gate.max_fall:.4g}"
    if champion is None:
        return Verdict("classes", True, NO_CHAMPION, limit, {})
    labels = candidate.answers.labels
    counts = np.bincount(labels, minlength=candidate.answers.classes)
    falls = (_right(champion, counts) - _right(candidate, counts)) / np.maximum(counts, 1)
    judged = counts >= gate.min_images
    few = f"; {np.count_nonzero((counts > 0) & ~judged)} have fewer images" if (~judged & (counts > 0)).any() else ""
    if not judged.any():
        return Verdict("classes", True, f"no class has so many images{few}", limit, {"judged": 0.0})
    worst = int(np.where(judged, falls, -np.inf).argmax())
    fall = float(falls[worst])
    too_far = int(np.count_nonzero(judged & (falls > gate.max_fall)))
    fell = f"class {candidate.labels[worst]} fell most, by {fall:.4f}; {too_far} by too much"
    found = (fell if fall > 0 else "no class fell") + few
    return Verdict("classes", too_far == 0, found, limit, {"worst_fall": fall, "judged": float(judged.sum())})


def _right(subject: Subject, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Images of each class that were answered rightly."""
    return np.bincount(subject.answers.labels[_hits(subject)], minlength=len(counts))


def _hits(subject: Subject) -> NDArray[np.bool_]:
    """Whether each image was answered rightly."""
    right: NDArray[np.bool_] = subject.answers.logits.argmax(axis=1) == subject.answers.labels
    return right


def _calibration(gate: CalibrationGate, candidate: Subject, champion: Subject | None) -> Verdict:
    own = _ece(candidate)
    figures = {"ece": own}
    limits, holds, found = [], True, f"ECE {own:.4f}"
    if gate.max_ece is not None:
        limits.append(f"ECE at most {gate.max_ece:.4g}")
        holds = own <= gate.max_ece
    if gate.max_rise is not None:
        limits.append(f"at most {gate.max_rise:.4g} above the champion's")
        if champion is not None:
            figures["rise"] = own - _ece(champion)
            found += f", {figures['rise']:+.4f} against the champion"
            holds = holds and figures["rise"] <= gate.max_rise
    return Verdict("calibration", holds, found, ", ".join(limits), figures)


def _ece(subject: Subject) -> float:
    return calibration.bins(subject.answers.labels, subject.answers.probabilities(subject.temperature)).ece


def _reload(gate: ReloadGate, candidate: Subject, _: Subject | None) -> Verdict:
    limit = f"loads again, probabilities within {gate.tolerance:.4g} of those that the run kept"
    if candidate.reloaded is None:
        return Verdict("reload", False, candidate.trouble, limit, {})
    rows, given = candidate.reloaded
    places = {row: place for place, row in enumerate(candidate.answers.rows.tolist())}
    kept = candidate.answers.probabilities(candidate.temperature)[[places[row] for row in rows.tolist()]]
    apart = float(np.abs(kept - given).max())
    found = f"{len(rows)} images, {apart:.2g} apart at most"
    return Verdict("reload", apart <= gate.tolerance, found, limit, {"images": float(len(rows)), "apart": apart})


def _size(gate: SizeGate, candidate: Subject, champion: Subject | None) -> Verdict:
    times = None if champion is None else candidate.bytes / champion.bytes
    return _bounded("size", "MB", candidate.bytes / 1e6, gate.max_mb, times, gate.max_ratio)


def _latency(gate: LatencyGate, candidate: Subject, champion: Subject | None) -> Verdict:
    if not candidate.p99_ms:
        return Verdict("latency", False, f"not measured: {candidate.trouble_measuring}", "measured", {})
    own, times = median(candidate.p99_ms), None
    if champion is not None and champion.p99_ms:  # by round, since what else the machine did then fell on both
        times = median(one / other for one, other in zip(candidate.p99_ms, champion.p99_ms, strict=True))
    found = _bounded("latency", "ms (p99)", own, gate.max_p99_ms, times, gate.max_ratio)
    if champion is None or not gate.compares:
        return found
    if not champion.p99_ms:
        return _uncompared(found, f"the champion: {champion.trouble_measuring}")
    apart = measurement.noise([champion.p99_ms])
    return replace(found, found=f"{found.found}, which differs from itself by {apart:.0%}")


def _bounded(gate: str, unit: str, own: float, most: float | None, times: float | None, ratio: float | None) -> Verdict:
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
    return Verdict(gate, holds, found, ", ".join(limits) or "none", figures)
