"""How far a phase has come: what checkpoints carry and runs log."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

# What every epoch is judged by, in the order of tables
EPOCH_METRICS = (
    *(f"{split}/{name}" for split in ("train", "val") for name in ("loss", "accuracy", "top5")),
    *("train/lr", "train/seconds", "train/images_per_second"),
)


@dataclass(frozen=True)
class Epoch:
    """One finished epoch.

    Attributes:
        number: Counts from 1 and goes on from one phase to the next.
        metrics: Values by name.
        timestamp: When it ended, in milliseconds since 1970.
    """

    number: int
    metrics: dict[str, float]
    timestamp: int


@dataclass
class Progress:
    """How far a phase has come.

    Attributes:
        epochs: What has been trained so far.
        best_epoch: Number of the epoch that is best by the monitored figure; the number that the phase
            started after, while the weights it started from are still better.
        best: That epoch's figures on the validation images; empty before there are any.
        stopped: Training has ended, by early stopping or by the last epoch.
        counters: State of the callbacks, by class and place.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    stopped: bool = False
    counters: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Time spent training, without pauses for validation and logging."""
        return sum(epoch.metrics["train/seconds"] for epoch in self.epochs)

    @property
    def gap(self) -> dict[str, float]:
        """How much better training is than validation in the best epoch; nothing where that is of an earlier phase."""
        best = [epoch.metrics for epoch in self.epochs if epoch.number == self.best_epoch]
        return {"best/overfitting_gap": best[0]["train/accuracy"] - best[0]["val/accuracy"]} if best else {}

    def to_json(self) -> str:
        """The progress as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Progress:
        """The progress that `to_json` wrote."""
        values = json.loads(text)
        return cls(**values | {"epochs": [Epoch(**epoch) for epoch in values["epochs"]]})
