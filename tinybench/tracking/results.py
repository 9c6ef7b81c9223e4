"""The results that `tinybench.train`, `finetune` and `resume` return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinybench.core.errors import TrackingError
from tinybench.core.html_table import html_table
from tinybench.core.metric_text import with_interval
from tinybench.training.progress import Epoch

if TYPE_CHECKING:
    import pandas

_SHOWN_METRICS = {
    "accuracy": "top-1",
    "top5": "top-5",
    "f1_macro": "F1",
    "auc_ovr_macro": "AUC",
    "log_loss": "log loss",
    "ece": "ECE",
}
"""Metrics that a notebook shows, and their headings."""


@dataclass(frozen=True)
class PhaseResult:
    """The result of a phase.

    Attributes:
        run_id: Its MLflow run.
        last_epoch: Number of its last epoch, counted through all phases.
        best_epoch: The epoch whose weights the model has.
        metrics: Final metrics by name, such as `test/accuracy`.
        epochs: Its epochs with their metrics.
    """

    run_id: str
    last_epoch: int
    best_epoch: int
    metrics: dict[str, float]
    epochs: tuple[Epoch, ...] = field(default=(), repr=False)

    def _repr_html_(self) -> str:
        """Return the test metrics with their 95 % intervals as a table."""
        caption = f"Test images; best epoch {self.best_epoch} of {self.last_epoch}, run {self.run_id}"
        return _html_of_metrics(self.metrics, "test", caption)


@dataclass(frozen=True)
class FoldResult:
    """The result of a fold.

    Attributes:
        number: Counted from 1.
        run_id: Its MLflow run.
        metrics: Metrics on the images that the fold held out, such as `out_of_fold/accuracy`.
        epochs: Its epochs in all phases, with their metrics.
    """

    number: int
    run_id: str
    metrics: dict[str, float]
    epochs: tuple[Epoch, ...] = field(default=(), repr=False)

    def _repr_html_(self) -> str:
        """Return the metrics of the held-out images as a table."""
        return _html_of_metrics(
            self.metrics, "out_of_fold", f"Held-out images of fold {self.number}, run {self.run_id}"
        )


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        run_id: The parent run.
        tracking_uri: The store that holds it.
        link: The run's page; if the store is no server, as `mlflow ui` on this machine would show it. Empty if the run
            has not been sent to the store.
        model_uri: The logged model, for `mlflow.pyfunc.load_model`; empty if it has not been sent.
        phases: The results of the phases by name, in order.
        folds: The results of the folds, in order; empty for a run without folds.
        summary: Metrics over all folds; empty for a run without folds.
        unsent: Number of entries that the store does not have; `tinybench sync` sends them.
    """

    run_id: str
    tracking_uri: str
    link: str
    model_uri: str
    phases: dict[str, PhaseResult] = field(default_factory=dict)
    folds: tuple[FoldResult, ...] = ()
    summary: dict[str, float] = field(default_factory=dict)
    unsent: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the last phase; of a run with folds, the metrics over all folds."""
        return self.summary or [*self.phases.values()][-1].metrics

    @property
    def history(self) -> pandas.DataFrame:
        """The metrics of every epoch, a row for each: its `phase` (and `fold`), its number `epoch`, and the metrics."""
        import pandas

        if self.folds:
            rows: list[dict[str, Any]] = [
                {"fold": fold.number} | _row(epoch) for fold in self.folds for epoch in fold.epochs
            ]
        else:
            rows = [{"phase": phase} | _row(epoch) for phase, result in self.phases.items() for epoch in result.epochs]
        return pandas.DataFrame(rows)

    def load_model(self) -> Any:
        """Load the logged model as an MLflow pyfunc, which takes images and returns labels.

        Raises:
            TrackingError: The model has not been sent to the store.
        """
        if not self.model_uri:
            raise TrackingError("The model has not been sent to the store: send it with tinybench sync.")
        import mlflow

        mlflow.set_tracking_uri(self.tracking_uri)
        return mlflow.pyfunc.load_model(self.model_uri)

    def _repr_html_(self) -> str:
        """Return the curves, and a table of the test metrics of every phase, or of the metrics of every fold."""
        if self.folds:
            rows = {f"fold {fold.number}, held-out images": _cells(fold.metrics, "out_of_fold") for fold in self.folds}
            rows["all folds, test images"] = _cells(self.summary, "test")
        else:
            rows = {
                f"{phase}, epoch {result.best_epoch}, test images": _cells(result.metrics, "test")
                for phase, result in self.phases.items()
            }
        headings = [heading for heading in _SHOWN_METRICS.values() if any(heading in cells for cells in rows.values())]
        table = [(name, *(cells.get(heading, "") for heading in headings)) for name, cells in rows.items()]
        return self._draw_curves() + html_table(["", *headings], table, f"Run {self.run_id}")

    def _draw_curves(self) -> str:
        """Return the curves of all phases, or of all folds, as SVG; empty if no epochs are known."""
        from tinybench.plots import svg, training_curves

        if self.folds:
            epochs = [fold.epochs for fold in self.folds]
            figure = training_curves.plot_fold_curves(epochs, "") if all(epochs) else None
        else:
            phases = [*self.phases.values()]
            all_epochs = [epoch for result in phases for epoch in result.epochs]
            switch = phases[0].last_epoch if len(phases) > 1 else None
            best = phases[-1].best_epoch if phases else None
            figure = (
                training_curves.plot_training_curves(all_epochs, "", switch=switch, best=best) if all_epochs else None
            )
        return "" if figure is None else svg.to_svg(figure)


def _row(epoch: Epoch) -> dict[str, Any]:
    return {"epoch": epoch.number, **epoch.metrics}


def _html_of_metrics(metrics: dict[str, float], split: str, caption: str) -> str:
    return html_table(["metric", "value [95 % interval]"], _cells(metrics, split).items(), caption)


def _cells(metrics: dict[str, float], split: str) -> dict[str, str]:
    """Return the metrics of a split by their headings, with intervals where they are known."""
    names = {heading: f"{split}/{metric}" for metric, heading in _SHOWN_METRICS.items()}
    return {
        heading: with_interval(metrics[name], metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))
        for heading, name in names.items()
        if name in metrics
    }
