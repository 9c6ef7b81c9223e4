"""The progress of a phase: stored in checkpoints, logged to runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

RESTATED_AFTER_MS = 1
"""By how much the validation metrics of the best epoch are later than the last epoch, at whose step they are logged.

A list of runs shows the latest value of a metric, which is then that of the weights that the model has.
"""

# The metrics of every epoch, in the order of tables
EPOCH_METRICS = (
    *(f"{split}/{name}" for split in ("train", "val") for name in ("loss", "accuracy", "top5")),
    *("train/lr", "train/seconds", "train/images_per_second"),
)


@dataclass(frozen=True)
class Epoch:
    """A finished epoch.

    Attributes:
        number: Counted from 1, continued from one phase to the next.
        metrics: Values by name.
        timestamp: When it ended, in milliseconds since 1970.
    """

    number: int
    metrics: dict[str, float]
    timestamp: int


@dataclass
class Progress:
    """The progress of a phase.

    Attributes:
        epochs: The epochs trained so far.
        best_epoch: Number of the best epoch by the monitored metric; the number of epochs before the phase as long
            as the weights that it started from are better.
        best: Metrics of the best epoch on the validation images; empty before there are any.
        stopped: Training has ended, by early stopping or by the last epoch.
        counters: State of the Keras callbacks, by class and position.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    stopped: bool = False
    counters: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The seconds spent training, without validation and logging."""
        return sum(epoch.metrics["train/seconds"] for epoch in self.epochs)

    @property
    def overfitting_gap(self) -> dict[str, float]:
        """The training accuracy of the best epoch less its validation accuracy; empty if an earlier phase was best."""
        best = [epoch.metrics for epoch in self.epochs if epoch.number == self.best_epoch]
        return {"best/overfitting_gap": best[0]["train/accuracy"] - best[0]["val/accuracy"]} if best else {}

    def to_json(self) -> str:
        """Return the progress as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Progress:
        """Return the progress that `to_json` wrote."""
        values = json.loads(text)
        return cls(**values | {"epochs": [Epoch(**epoch) for epoch in values["epochs"]]})


def best_metric_name(name: str) -> str:
    """Return the name under which a validation metric of the best epoch is logged: `best/val_loss` for `val/loss`."""
    return f"best/{name.replace('/', '_')}"
