"""Build a board: the models of a store, ranked on each set of test images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tinybench.leaderboard import critical_value, entries, hints, pairs, rank_intervals, scores
from tinybench.leaderboard.dataset_board import BoardRow, DatasetBoard
from tinybench.leaderboard.entries import Entry
from tinybench.leaderboard.failed_cells import FailedCell, list_failed_cells
from tinybench.leaderboard.halved_models import HalvedModel, list_halved_models
from tinybench.leaderboard.model_estimates import ModelEstimates, estimate_models
from tinybench.leaderboard.ranking_metrics import METRICS, find_weight_of_image
from tinybench.leaderboard.scores import RunScores
from tinybench.tracking import tags, test_set_uses
from tinybench.tracking.run_cache import RunCache
from tinybench.tracking.tracker import Tracker

_ROUNDING = 1e-4  # of a logged accuracy
_EXACT = 1e-6  # of a mean over weighted images
MARGIN = 0.01
"""The largest difference that does not matter, unless the user names another one."""


def build_boards(
    tracker: Tracker,
    *,
    metric: str = "accuracy",
    margin: float = MARGIN,
    keep: Callable[[Entry], bool] = lambda entry: entry.is_last,
    keep_named: Callable[[FailedCell | HalvedModel], bool] = lambda named: True,
) -> list[DatasetBoard]:
    """Return a board for each set of test images, the one with the most models first.

    A data set of which there are only failed cells of benchmarks has a board without rows.

    Args:
        tracker: The store.
        metric: One of `ranking_metrics.METRICS`.
        margin: The largest difference that does not matter.
        keep: Which finished phases are ranked; by default the last of each run.
        keep_named: Which failed cells of benchmarks and models that halvings left out are named.

    Raises:
        TrackingError: The store does not answer.
    """
    with closing(RunCache(tracker)) as cache:
        cache.update()
        runs = {run.run_id: run for run in cache.list_runs()}
        finished_keys = {run.tags.get(tags.CELL_KEY, "") for run in runs.values()}
        failed = [*filter(keep_named, list_failed_cells(tracker, finished_keys))]
        halved = [*filter(keep_named, list_halved_models(tracker))]
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
            models_left_out = tuple(model for model in halved if model.dataset == dataset)
            boards.append(replace(board, hints=sentences, failed=cells, halved=models_left_out))
    for dataset in {cell.dataset for cell in failed} - {dataset for dataset, _ in by_images}:
        cells = tuple(cell for cell in failed if cell.dataset == dataset)
        boards.append(DatasetBoard(dataset, 0, metric, margin, False, (), (), failed=cells))
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
    estimates, effective_images = _estimate(named, scores_of, metric)
    lower = METRICS[metric].lower_is_better
    largest = 1.0 if METRICS[metric].is_share else np.inf
    conclusions = pairs.conclude_pairs(estimates, margin, lower_is_better=lower, largest=largest)
    ranks = rank_intervals.find_rank_intervals(estimates.names, conclusions)
    best = rank_intervals.find_possibly_best(ranks)
    low, high = _intervals(estimates, metric, effective_images)
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
            metric,
        )
        for index in pairs.rank_models(estimates, lower_is_better=lower)
    )
    images = len(groups[0][0][1].labels)
    compares_models = estimates.compares_models
    return DatasetBoard(dataset, images, metric, margin, compares_models, rows, tuple(conclusions), dict(left_out))


def _estimate(
    named: Mapping[str, Sequence[Entry]], scores_of: Mapping[int, RunScores], metric: str
) -> tuple[ModelEstimates, float]:
    """Return the estimates of the models, and the number of images that tell as much if all weigh alike.

    Args:
        named: The runs of each model by its name.
        scores_of: The scores of each run by the id of its entry.
        metric: One of `ranking_metrics.METRICS`.
    """
    by_model = [np.stack([scores_of[id(entry)].by_image[metric] for entry in group]) for group in named.values()]
    first = scores_of[id(next(iter(named.values()))[0])]
    weight = find_weight_of_image(metric, first.labels, first.classes, by_model)
    classes = first.labels if METRICS[metric].by_class else None
    estimates = estimate_models([*named], by_model, classes=classes, weight_of_image=weight)
    return estimates, len(first.labels) / weight


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
    return logged is None or abs(logged - float(run_scores.by_image["accuracy"].mean())) < _ROUNDING


def _intervals(
    estimates: ModelEstimates, metric: str, effective_images: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the 95 % interval of each model, which holds for one model and not for all at once.

    A share of a model that is right, or wrong, on all images gets the exact interval (Clopper and Pearson, 1934); for
    a mean over classes it is that of as many images as there were if every class had as few as the smallest one.

    Args:
        estimates: The models.
        metric: One of `ranking_metrics.METRICS`.
        effective_images: The number of images that tell as much if all weigh alike.
    """
    zero = np.zeros(len(estimates.names))
    of_means = estimates.seeds.values / estimates.runs
    of_images = np.maximum(np.diag(estimates.image_covariance), 0)
    errors, degrees = critical_value.standard_errors(of_images, of_means, zero, estimates.seeds.degrees, zero)
    half = stats.t.ppf(1 - critical_value.ALPHA / 2, degrees) * errors
    low, high = np.maximum(estimates.values - half, 0), estimates.values + half
    if not METRICS[metric].is_share:
        return low, high
    none_wrong = (critical_value.ALPHA / 2) ** (1 / effective_images)
    low = np.where(np.isclose(estimates.values, 1, rtol=0, atol=_EXACT), none_wrong, low)
    high = np.where(np.isclose(estimates.values, 0, rtol=0, atol=_EXACT), 1 - none_wrong, np.minimum(high, 1))
    return low, high
