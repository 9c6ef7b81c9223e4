"""The plots of a phase, logged to its run and, for comparison between phases, to the parent run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tinybench.tracking import tags
from tinybench.tracking.run_writer import FIGURE_DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinybench.tracking.run_writer import RunWriter

# Plots that are worth comparing from phase to phase; MLflow shows each of them in a square, beside all parameters
_SHOWN_BY_STEP = {"confusion_matrix", "worst"}


@dataclass(frozen=True)
class PlotLog:
    """The place that the plots of one run are logged to.

    Attributes:
        run: Stores the plots as artifacts under `figures/`.
        enabled: Whether plots shall be made at all; callers check it, `log_figure` does not.
        parent_run: Also shows some of the plots by step among MLflow's images; None for no such run.
        step: The step of this phase in the parent run, counted from 0, where the slider of MLflow's page starts.
        absent: The plots that were left out, with the reasons.
    """

    run: RunWriter
    enabled: bool = True
    parent_run: RunWriter | None = None
    step: int = 0
    absent: dict[str, str] = field(default_factory=dict)

    def log_figure(self, figure: Figure, name: str) -> None:
        """Store a figure as `figures/<name>.png`."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.png"
            figure.savefig(file, dpi=FIGURE_DPI)
            self.run.log_artifact(file, "figures")
            if self.parent_run is not None and name in _SHOWN_BY_STEP:
                self.parent_run.log_image(file, self.step)

    def leave_out(self, name: str, reason: str) -> None:
        """Say in a tag of the run why it has no `figures/<name>.png`."""
        self.absent[name] = reason
        self.run.set_tags({tags.FIGURES_ABSENT: "; ".join(f"{plot}: {why}" for plot, why in self.absent.items())})
