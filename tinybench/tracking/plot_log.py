"""The plots of a phase, logged to its run and, for comparison between phases, to the parent run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tinybench.tracking.run_writer import FIGURE_DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinybench.tracking.run_writer import RunWriter

# Plots that are worth comparing from phase to phase
_SHOWN_BY_STEP = {"confusion_matrix", "reliability", "worst", "explanations"}


@dataclass(frozen=True)
class PlotLog:
    """The place that the plots of one run are logged to.

    Attributes:
        run: Stores the plots as artifacts under `figures/`.
        enabled: Whether plots shall be made at all; callers check it, `log_figure` does not.
        parent_run: Also shows some of the plots by step among MLflow's images; None for no such run.
        step: The step of this phase in the parent run, counted from 0, where the slider of MLflow's page starts.
    """

    run: RunWriter
    enabled: bool = True
    parent_run: RunWriter | None = None
    step: int = 0

    def log_figure(self, figure: Figure, name: str) -> None:
        """Store a figure as `figures/<name>.png`."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.png"
            figure.savefig(file, dpi=FIGURE_DPI)
            self.run.log_artifact(file, "figures")
            if self.parent_run is not None and name in _SHOWN_BY_STEP:
                self.parent_run.log_image(file, self.step)
