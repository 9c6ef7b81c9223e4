"""What a board says: its models, in their order, and what is concluded of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.leaderboard.entries import Entry
from tinybench.leaderboard.failed_cells import FailedCell
from tinybench.leaderboard.halved_models import HalvedModel
from tinybench.leaderboard.pairs import Pair

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class BoardRow:
    """A model of a board.

    Attributes:
        name: Its name, unique on the board.
        entries: Its runs, one for each seed, in the order of the seeds.
        value: Mean of the metric over the runs.
        low: Lower end of the 95 % interval of the model, over draws of images and seeds.
        high: Upper end.
        deviation: Standard deviation over the runs (ddof 1); NaN for one run.
        ranks: The lowest and the highest rank that the model may have.
        may_be_best: Whether it may be the best one.
        metric: The metric, one of `ranking_metrics.METRICS`.
    """

    name: str
    entries: tuple[Entry, ...]
    value: float
    low: float
    high: float
    deviation: float
    ranks: tuple[int, int]
    may_be_best: bool
    metric: str = "accuracy"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(entry.seed for entry in self.entries)

    def mean(self, metric: str) -> float:
        """Return the mean of a stored metric over the runs that have it; NaN if none has."""
        values = [
            source[metric]
            for entry in self.entries
            for source in [entry.run.metrics | entry.phase_run.metrics]
            if metric in source
        ]
        return float(np.mean(values)) if values else float("nan")


@dataclass(frozen=True)
class DatasetBoard:
    """The models that were tested on the same images, the best first unless they were sorted by a column.

    Attributes:
        dataset: The data set.
        images: Number of test images.
        metric: The metric by which they are ranked.
        margin: The largest difference that does not matter.
        compares_models: Seeds were drawn as well as images; otherwise all that is said is about these runs.
        rows: The models.
        pairs: What is concluded of each pair.
        left_out: Runs that are not ranked, by reason.
        hints: What to know before trusting the order, a sentence each.
        failed: Cells of benchmarks on this data set that failed.
        halved: Models that halvings of benchmarks left out on this data set.
    """

    dataset: str
    images: int
    metric: str
    margin: float
    compares_models: bool
    rows: tuple[BoardRow, ...]
    pairs: tuple[Pair, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    failed: tuple[FailedCell, ...] = ()
    halved: tuple[HalvedModel, ...] = ()

    def to_frame(self) -> pandas.DataFrame:
        """Return a row for each model: what it is ranked by, its ranks, and the mean of each metric of its runs."""
        import pandas

        rows: list[dict[str, Any]] = []
        for row in self.rows:
            ranked = {self.metric: row.value, "low": row.low, "high": row.high, "sd": row.deviation}
            ranks = {"lowest_rank": row.ranks[0], "highest_rank": row.ranks[1], "may_be_best": row.may_be_best}
            names = sorted({name for entry in row.entries for name in entry.phase_run.metrics})
            metrics = {name: row.mean(name) for name in names}
            rows.append({"model": row.name, **ranked, "seeds": len(row.entries), **ranks, **metrics})
        return pandas.DataFrame(rows)

    def _repr_html_(self) -> str:
        from tinybench.leaderboard.board_columns import DEFAULT_COLUMNS
        from tinybench.leaderboard.table import write_board

        return write_board(self, DEFAULT_COLUMNS, "html")
