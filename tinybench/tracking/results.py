"""What a run leaves, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PhaseResult:
    """What a phase left.

    Attributes:
        run_id: Its MLflow run.
        last_epoch: Number of its last epoch, counted through all phases.
        best_epoch: The epoch whose weights were kept.
        metrics: Final figures by name, such as `test/accuracy`.
    """

    run_id: str
    last_epoch: int
    best_epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class FoldResult:
    """What a fold left.

    Attributes:
        number: From 1.
        run_id: Its MLflow run.
        metrics: Figures on the images that it held out, such as `out_of_fold/accuracy`.
    """

    number: int
    run_id: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Result:
    """What a run left.

    Attributes:
        run_id: The parent run.
        tracking_uri: The store that holds it.
        link: The run's page; where the store is no server, as `mlflow ui` on this machine would show it.
        model_uri: The logged model, for `mlflow.pyfunc.load_model`.
        phases: What each phase left, in order.
        folds: What each fold left, in order, where the run has folds instead.
        summary: The figures over all folds.
    """

    run_id: str
    tracking_uri: str
    link: str
    model_uri: str
    phases: dict[str, PhaseResult] = field(default_factory=dict)
    folds: tuple[FoldResult, ...] = ()
    summary: dict[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """The figures after the last phase, or over all folds."""
        return self.summary or [*self.phases.values()][-1].metrics

    def load_model(self) -> Any:
        """The logged model as an MLflow pyfunc: pictures in, labels out."""
        import mlflow

        mlflow.set_tracking_uri(self.tracking_uri)
        return mlflow.pyfunc.load_model(self.model_uri)
