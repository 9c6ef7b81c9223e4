"""What `tinybench.train` and its relatives return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PhaseResult:
    """The result of a phase.

    Attributes:
        run_id: Its MLflow run.
        last_epoch: Number of its last epoch, counted through all phases.
        best_epoch: The epoch whose weights the model has.
        metrics: Final metrics by name, such as `test/accuracy`.
    """

    run_id: str
    last_epoch: int
    best_epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class FoldResult:
    """The result of a fold.

    Attributes:
        number: Counted from 1.
        run_id: Its MLflow run.
        metrics: Metrics on the images that the fold held out, such as `out_of_fold/accuracy`.
    """

    number: int
    run_id: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        run_id: The parent run.
        tracking_uri: The store that holds it.
        link: The run's page; if the store is no server, as `mlflow ui` on this machine would show it.
        model_uri: The logged model, for `mlflow.pyfunc.load_model`.
        phases: The results of the phases by name, in order.
        folds: The results of the folds, in order; empty for a run without folds.
        summary: Metrics over all folds; empty for a run without folds.
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
        """The metrics of the last phase; of a run with folds, the metrics over all folds."""
        return self.summary or [*self.phases.values()][-1].metrics

    def load_model(self) -> Any:
        """Load the logged model as an MLflow pyfunc, which takes images and returns labels."""
        import mlflow

        mlflow.set_tracking_uri(self.tracking_uri)
        return mlflow.pyfunc.load_model(self.model_uri)
