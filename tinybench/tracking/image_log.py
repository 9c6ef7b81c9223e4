"""Where the pictures of a phase go: into its run and, by step, into the run that holds all phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinybench.tracking.run import Run

# What is worth seeing change from phase to phase
_BY_STEP = {"confusion_matrix", "reliability", "worst", "explanations"}


@dataclass(frozen=True)
class Album:
    """Pictures of a run.

    Attributes:
        run: Holds them as artifacts under `figures/`.
        drawn: Pictures are wanted.
        whole: Shows some by step among MLflow's images, one phase beside the other; None for none.
        step: Of this phase there: which it is, from 0, where MLflow's slider stands when the page is opened.
    """

    run: Run
    drawn: bool = True
    whole: Run | None = None
    step: int = 0

    def figure(self, picture: Figure, name: str) -> None:
        """Store a picture by its name."""
        also = (self.whole, self.step) if self.whole is not None and name in _BY_STEP else None
        self.run.figure(picture, f"figures/{name}.png", also)
