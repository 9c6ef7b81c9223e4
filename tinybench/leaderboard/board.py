"""Build a board: the models of a store, ranked on each set of test images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tinybench.leaderboard import critical_value, entries, hints, pairs, rank_intervals, scores
from tinybench.leaderboard.entries import Entry
from tinybench.leaderboard.failed_cells import FailedCell, list_failed_cells
from tinybench.leaderboard.model_estimates import ModelEstimates, estimate_models
from tinybench.leaderboard.pairs import Pair
from tinybench.leaderboard.scores import RunScores
from tinybench.tracking import tags, test_set_uses
from tinybench.tracking.run_cache import RunCache
from tinybench.tracking.tracker import Tracker

_ROUNDING = 1e-4  # of a logged accuracy
MARGIN = 0.01
"""The largest difference that does not matter, unless the user names another one."""


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
    """

    name: str
    entries: tuple[Entry, ...]
    value: float
    low: float
    high: float
    deviation: float
    ranks: tuple[int, int]
    may_be_best: bool

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
    """The models that were tested on the same images, the best first.

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


def build_boards(
    tracker: Tracker,
    *,
    metric: str = "accuracy",
    margin: float = MARGIN,
    keep: Callable[[Entry], bool] = lambda entry: entry.is_last,
) -> list[DatasetBoard]:
    """Return a board for each set of test images, the one with the most models first.

    Args:
        tracker: The store.
        metric: One of `scores.METRICS`.
        margin: The largest difference that does not matter.
        keep: Which finished phases are ranked; by default the last of each run.

    Raises:
        TrackingError: The store does not answer.
    """
    with closing(RunCache(tracker)) as cache:
        cache.update()
        runs = {run.run_id: run for run in cache.list_runs()}
        failed = list_failed_cells(tracker, {run.tags.get(tags.CELL_KEY, "") for run in runs.values()})
        by_images: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for entry in filter(keep, entries.list_entries(runs.values())):
            by_images[entry.dataset, entry.images_hash].append(entry)
        boards = []
        for (dataset, test_images), members in by_images.items():
            board = _build_board(dataset, members, tracker, cache, metric, margin)
            uses = test_set_uses.count(tracker, test_images) if test_images else 0
            on_dataset = sum(len(entries_there) for key, entries_there in by_images.items() if key[0] == dataset)
            models = {row.name: row.entries for row in board.rows}
            sentences = hints.list_hints(models, runs, uses, on_dataset - len(members))
            cells = tuple(cell for cell in failed if cell.dataset == dataset)
            boards.append(replace(board, hints=sentences, failed=cells))
    return sorted(boards, key=lambda board: (-len(board.rows), board.dataset))


def _build_board(
    dataset: str, members: Sequence[Entry], tracker: Tracker, cache: RunCache, metric: str, margin: float
) -> DatasetBoard:
    left_out: dict[str, int] = defaultdict(int)
    groups = _choose_runs(members, lambda entry: scores.read_scores(tracker, cache, entry), left_out)
    if not groups:
        return DatasetBoard(dataset, 0, metric, margin, False, (), (), dict(left_out))
    named = entries.group_models([entry for group in groups for entry, _ in group])
    scores_of = {id(entry): run_scores for group in groups for entry, run_scores in group}
    by_model = [np.stack([scores_of[id(entry)].correct[metric] for entry in group]) for group in named.values()]
    estimates = estimate_models([*named], by_model)
    conclusions = pairs.conclude_pairs(estimates, margin)
    ranks = rank_intervals.find_rank_intervals(estimates.names, conclusions)
    best = rank_intervals.find_possibly_best(ranks)
    low, high = _intervals(estimates, by_model[0].shape[1])
    rows = tuple(
        BoardRow(
            name := estimates.names[index],
            tuple(sorted(named[name], key=lambda entry: entry.seed)),
            float(estimates.values[index]),
            float(low[index]),
            float(high[index]),
            float(estimates.deviations[index]),
            ranks[name],
            name in best,
        )
        for index in pairs.rank_models(estimates)
    )
    images = by_model[0].shape[1]
    compares_models = estimates.compares_models
    return DatasetBoard(dataset, images, metric, margin, compares_models, rows, tuple(conclusions), dict(left_out))


def _choose_runs(
    members: Sequence[Entry], read: Callable[[Entry], RunScores], left_out: dict[str, int]
) -> list[list[tuple[Entry, RunScores]]]:
    """Return the runs of each model that count: the newest of each seed, with predictions of the same images.

    Args:
        members: The entries, the oldest first.
        read: Returns the scores of an entry.
        left_out: Gets the number of runs that do not count, by reason.
    """
    by_model: dict[str, dict[int, Entry]] = defaultdict(dict)
    for entry in members:
        if entry.seed in by_model[entry.key()]:
            left_out["earlier runs of the same model and seed"] += 1
        by_model[entry.key()][entry.seed] = entry
    groups, images = [], ""
    for by_seed in by_model.values():
        group: list[tuple[Entry, RunScores]] = []
        for entry in by_seed.values():
            run_scores = read(entry)
            images = images or run_scores.images
            if not run_scores.images:
                left_out["runs without predictions"] += 1
            elif run_scores.images != images:
                left_out["runs with other test images"] += 1
            elif not _agrees(entry, run_scores):
                left_out["runs whose test/accuracy is not that of their predictions"] += 1
            elif run_scores.predictions in {scored.predictions for _, scored in group}:
                left_out["runs that are copies of another seed"] += 1
            else:
                group.append((entry, run_scores))
        if group:
            groups.append(group)
    return groups


def _agrees(entry: Entry, run_scores: RunScores) -> bool:
    """Return whether the accuracy that a run logged, if any, is that of its predictions."""
    logged = entry.phase_run.metrics.get("test/accuracy")
    return logged is None or abs(logged - float(run_scores.correct["accuracy"].mean())) < _ROUNDING


def _intervals(estimates: ModelEstimates, images: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the 95 % interval of each model, which holds for one model and not for all at once.

    A model that is right, or wrong, on all images gets the exact interval (Clopper and Pearson, 1934).
    """
    zero = np.zeros(len(estimates.names))
    of_means = estimates.seeds.values / estimates.runs
    errors, degrees = critical_value.standard_errors(
        np.diag(estimates.image_covariance), of_means, zero, estimates.seeds.degrees, zero
    )
    half = stats.t.ppf(1 - critical_value.ALPHA / 2, degrees) * errors
    none_wrong = (critical_value.ALPHA / 2) ** (1 / images)
    low = np.where(estimates.values == 1, none_wrong, np.maximum(estimates.values - half, 0))
    return low, np.where(estimates.values == 0, 1 - none_wrong, np.minimum(estimates.values + half, 1))
