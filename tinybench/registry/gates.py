"""The gates: a candidate beside the champion, figure by figure. NumPy in, verdicts out; nothing is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinybench.efficiency import measuring
from tinybench.evaluation import calibration
from tinybench.evaluation.answers import Answers
from tinybench.evaluation.comparison import Side, compare
from tinybench.registry.policy import (
    AccuracyGate,
    CalibrationGate,
    ClassesGate,
    LatencyGate,
    Policy,
    ReloadGate,
    SizeGate,
)

_MOST_NOISE = 0.5  # of a machine that a latency can be told on


@dataclass(frozen=True)
class Subject:
    """A model as the gates see it.

    Attributes:
        name: For people.
        answers: On the test images.
        temperature: Fitted on its validation images.
        labels: Of its classes, in the order of its outputs.
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
    test: str
    signature: Mapping[str, Any]
    reloaded: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
    trouble: str = ""
    bytes: int = 0
    p99_ms: tuple[float, ...] = ()
    trouble_measuring: str = ""


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


def judge(policy: Policy, candidate: Subject, champion: Subject | None) -> list[Verdict]:
    """The verdict of each gate of a policy; without a champion, of its limits alone.

    What was compared on other images says nothing: where the gate of data does not hold, no gate compares.
    """
    same = champion is not None and champion.test == candidate.test and _same_rows(candidate, champion)
    beside = champion if same else None
    found: list[Verdict] = []
    if policy.data is not None:
        found.append(_data(candidate, champion, same=same))
    if policy.signature is not None:
        found.append(_signature(candidate, champion))
    judges: Sequence[tuple[Any, Callable[[Any, Subject, Subject | None], Verdict]]] = (
        (policy.accuracy, _accuracy),
        (policy.classes, _classes),
        (policy.calibration, _calibration),
        (policy.reload, _reload),
    )
    found += [judged(gate, candidate, beside) for gate, judged in judges if gate is not None]
    alone: Sequence[tuple[Any, Callable[[Any, Subject, Subject | None], Verdict]]] = (
        (policy.size, _size),
        (policy.latency, _latency),
    )
    return found + [judged(gate, candidate, champion) for gate, judged in alone if gate is not None]


def _same_rows(one: Subject, other: Subject) -> bool:
    a, b = one.answers, other.answers
    return a.classes == b.classes and np.array_equal(a.rows, b.rows) and np.array_equal(a.labels, b.labels)


def _data(candidate: Subject, champion: Subject | None, *, same: bool) -> Verdict:
    images = len(candidate.answers.rows)
    found = f"{images:,} test images" + ("" if champion is None else ", the champion's" if same else ", others")
    return Verdict("data", champion is None or same, found, "the champion's test images", {"images": float(images)})


def _signature(candidate: Subject, champion: Subject | None) -> Verdict:
    limit = "inputs, outputs, parameters and labels of the champion"
    if champion is None:
        return Verdict("signature", True, "no champion", limit, {})
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
    own = float((candidate.answers.logits.argmax(axis=1) == candidate.answers.labels).mean())
    if champion is None:
        return Verdict("accuracy", True, f"{own:.4f}, nothing to compare it with", limit, {"accuracy": own})
    sides = [Side("candidate", (candidate.answers,)), Side("champion", (champion.answers,))]
    (difference,) = compare(sides).differences
    sign = 1 if difference.first == "candidate" else -1
    low, high = sorted((sign * difference.low, sign * difference.high))
    value = sign * difference.value
    found = f"{own:.4f}, {value:+.4f} [{low:+.4f}, {high:+.4f}] against the champion"
    figures = {"accuracy": own, "difference": value, "low": low, "high": high, "p": difference.p}
    return Verdict("accuracy", low > -gate.delta, found, limit, figures)


def _classes(gate: ClassesGate, candidate: Subject, champion: Subject | None) -> Verdict:
    limit = f"no class of {gate.min_images:.0f} or more images falls by more than {gate.max_fall:.4g}"
    if champion is None:
        return Verdict("classes", True, "nothing to compare it with", limit, {})
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
    found = f"class {candidate.labels[worst]} fell most, by {fall:.4f}; {too_far} by too much{few}"
    return Verdict("classes", too_far == 0, found, limit, {"worst_fall": fall, "judged": float(judged.sum())})


def _right(subject: Subject, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Images of each class that were answered rightly."""
    answers = subject.answers
    right = answers.logits.argmax(axis=1) == answers.labels
    return np.bincount(answers.labels[right], minlength=len(counts))


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
    own = candidate.bytes / 1e6
    return _bounded("size", "MB", own, gate.max_mb, None if champion is None else champion.bytes / 1e6, gate.max_ratio)


def _latency(gate: LatencyGate, candidate: Subject, champion: Subject | None) -> Verdict:
    if not candidate.p99_ms:
        return Verdict("latency", False, f"not measured: {candidate.trouble_measuring}", "measured", {})
    if champion is None:
        return _bounded("latency", "ms (p99)", median(candidate.p99_ms), gate.max_p99_ms, None, gate.max_ratio)
    noise = min(measuring.noise([champion.p99_ms]), _MOST_NOISE)  # not the candidate's own, which would excuse it
    own, beside = median(candidate.p99_ms), median(champion.p99_ms)
    return _bounded("latency", "ms (p99)", own, gate.max_p99_ms, beside, gate.max_ratio, noise)


def _bounded(
    gate: str,
    unit: str,
    own: float,
    most: float | None,
    beside: float | None,
    ratio: float | None,
    noise: float = 0.0,
) -> Verdict:
    """A figure below a limit, and below so many times the champion's.

    What lies above by less than `noise`, as a share, which the same model shows from one round to the next, is no
    reason to refuse.
    """
    figures, found, limits, holds = {"value": own}, f"{own:.4g} {unit}", [], True
    if most is not None:
        limits.append(f"at most {most:.4g} {unit}")
        holds = own <= most
    if ratio is not None:
        limits.append(f"at most {ratio:.4g} times the champion's")
        if beside:
            figures |= {"champion": beside, "ratio": own / beside}
            found += f", {own / beside:.3g} times the champion's {beside:.4g}"
            found += f"; the champion differs from itself by {noise:.0%}" if noise else ""
            holds = holds and own / beside <= ratio * (1 + noise)
    return Verdict(gate, holds, found, ", ".join(limits) or "none", figures)
