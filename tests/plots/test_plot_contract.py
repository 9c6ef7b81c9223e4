"""Every plot can be read: with 1, 2, 12 and 200 of whatever it is over, by names that are long and begin alike."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from drawn_texts import list_faults
from matplotlib.figure import Figure

from tinybench import plots
from tinybench.evaluation.calibration import CalibrationBins
from tinybench.plots import (
    class_counts,
    confusion_matrix,
    explanation_grid,
    feature_map_grid,
    pareto_front,
    prediction_grid,
    recall_by_class,
    reliability_diagram,
    roc_curve,
    sample_grid,
    study_plots,
    training_curves,
)
from tinybench.plots.pareto_front import ParetoPoint
from tinybench.plots.study_plots import ParameterAxis, StudyTrial
from tinybench.training.progress import EPOCH_METRICS, Epoch

COUNTS = (1, 2, 12, 200)
TITLE = "mobilenetv2 with a rather long name on a folder of photographs with a rather long name, too"
OBJECTIVE = "efficiency/cpu_throughput_images_per_second"


def names(count: int, suffix: str = "") -> list[str]:
    """Names that begin alike, and differ in their middle."""
    return [
        f"a photograph of the German shepherd dog number {number}{suffix}, taken in June" for number in range(count)
    ]


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def shares(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def trials(count: int, parameters: int = 3, choices: int = 3) -> tuple[list[StudyTrial], list[ParameterAxis]]:
    """Trials with parameters of three kinds: logarithmic, categorical and linear."""
    random = np.random.default_rng(0)
    axes = []
    for number, key in enumerate(names(parameters)):
        named = tuple(f"{'abcdefghijkl'[number % 12]}, {name}" for name in names(choices)) if number % 3 == 1 else None
        axes.append(ParameterAxis(key, number % 3 == 0, named))
    draws = {
        axis.key: axis.choices or tuple((10 ** random.uniform(-6, -1, 9)).tolist() if axis.log else random.random(9))
        for axis in axes
    }
    trials = [
        StudyTrial(
            number,
            (float(random.random()), float(1e8 * random.random())),
            number % 5 == 4,
            {key: values[random.integers(len(values))] for key, values in draws.items()},
            {epoch: float(random.random()) for epoch in range(1, 1 + count)},
        )
        for number in range(count)
    ]
    return trials, axes


def epochs(count: int, top5: float | None = None, seed: int = 0) -> list[Epoch]:
    values = shares(count, len(EPOCH_METRICS), seed=seed)
    rows = [dict(zip(EPOCH_METRICS, row.tolist(), strict=True)) for row in values]
    constant = {} if top5 is None else {"train/top5": top5, "val/top5": top5}
    return [Epoch(number, row | constant, number) for number, row in enumerate(rows, 1)]


def bins(count: int) -> CalibrationBins:
    return CalibrationBins(np.sort(shares(count)), shares(count, seed=1), np.full(count, 123_456))


def draw_class_counts(count: int) -> Iterator[Figure]:
    splits = ("train", "validation", "test")
    counted = {split: np.random.default_rng(0).integers(0, 1_000_000, count) for split in splits}
    yield class_counts.plot_class_counts(counted, names(count))


def draw_confusion_matrix(count: int) -> Iterator[Figure]:
    counted = np.random.default_rng(0).integers(1, 1_000_000, (count, count))
    yield confusion_matrix.plot_confusion_matrix(counted, names(count))
    yield confusion_matrix.plot_confusion_matrix(np.eye(count + 1, k=1, dtype=int), names(count + 1))


def draw_explanations(count: int) -> Iterator[Figure]:
    maps = {method: shares(count, 8, 8) for method in ("Gradient", "Integrated gradients", "Grad-CAM")}
    captions = [f"{name} (98%)\nis {other}" for name, other in zip(names(count), names(count)[::-1], strict=True)]
    yield explanation_grid.plot_explanations(pixels(count, 8, 8, 3), maps, captions)


def draw_feature_maps(count: int) -> Iterator[Figure]:
    yield feature_map_grid.plot_feature_maps(pixels(8, 8, 3), shares(7, 7, count), TITLE)


def draw_filters(count: int) -> Iterator[Figure]:
    yield feature_map_grid.plot_filters(shares(7, 7, 3, count))


def pareto_points(count: int, costs: np.ndarray) -> list[ParetoPoint]:
    accuracy = shares(count)
    return [
        ParetoPoint(name, value, value - 0.02, value + 0.01, cost, 0.9 * cost, 1.1 * cost, 30 * cost, 100 + number)
        for number, (name, value, cost) in enumerate(zip(names(count), accuracy, costs, strict=True))
    ]


def draw_pareto_front(count: int) -> Iterator[Figure]:
    """With costs of one decade and of many, and with points that lie on one another."""
    for low, high in ((1, 11), (0.01, 10_000)):
        yield pareto_front.plot_pareto_front(pareto_points(count, np.geomspace(low, high, count)))
    yield pareto_front.plot_pareto_front(pareto_points(count, np.full(count, 2.0)))


def draw_predictions(count: int) -> Iterator[Figure]:
    for true in (names(count), names(count, " (another)")):
        yield prediction_grid.plot_predictions(pixels(count, 8, 8, 3), true, names(count), np.ones(count), TITLE)


def draw_recall_by_class(count: int) -> Iterator[Figure]:
    intervals = np.sort(shares(count, 2), axis=1)
    yield recall_by_class.plot_recall_by_class(intervals.mean(axis=1), np.full(count, 12_345), names(count), intervals)


def draw_reliability(count: int) -> Iterator[Figure]:
    yield reliability_diagram.plot_reliability_diagram(bins(count), bins(count))


def draw_roc(count: int) -> Iterator[Figure]:
    rates = np.linspace(0, 1, count)
    yield roc_curve.plot_roc_curve(rates, rates, rates / 2, rates, 0.5)


def draw_samples(count: int) -> Iterator[Figure]:
    yield sample_grid.plot_samples([pixels(3, 8, 8, 3)] * count, names(count), title=TITLE)


def draw_augmented(count: int) -> Iterator[Figure]:
    first, second = np.eye(2 * count)[::2], np.eye(2 * count)[1::2]
    mixed = np.stack([first, 0.7 * first + 0.3 * second], axis=1)
    yield sample_grid.plot_augmented_samples(pixels(count, 2, 8, 8, 3), mixed, names(2 * count))


def draw_training_curves(count: int) -> Iterator[Figure]:
    yield training_curves.plot_training_curves(epochs(count), TITLE, switch=max(count // 2, 1), best=count)
    yield training_curves.plot_training_curves(epochs(count, top5=1.0), TITLE, best=1)


def draw_fold_curves(count: int) -> Iterator[Figure]:
    yield training_curves.plot_fold_curves([epochs(3, seed=fold) for fold in range(count)], TITLE)
    yield training_curves.plot_fold_curves([epochs(count), epochs(count)], TITLE)


def draw_history(count: int) -> Iterator[Figure]:
    yield study_plots.plot_optimization_history(trials(count)[0], OBJECTIVE, maximize=True)


def draw_intermediate_values(count: int) -> Iterator[Figure]:
    yield study_plots.plot_intermediate_values(trials(count)[0], OBJECTIVE, 0)


def draw_importances(count: int) -> Iterator[Figure]:
    yield study_plots.plot_param_importances(dict(zip(names(count), shares(count), strict=True)), OBJECTIVE, 1000)


def draw_slice(count: int) -> Iterator[Figure]:
    for drawn in (trials(count), trials(9, parameters=count), trials(9, choices=count)):
        yield study_plots.plot_slice(*drawn, OBJECTIVE)


def draw_parallel_coordinate(count: int) -> Iterator[Figure]:
    for drawn in (trials(count), trials(9, parameters=count), trials(9, choices=count)):
        yield study_plots.plot_parallel_coordinate(*drawn, OBJECTIVE, maximize=True)


def draw_contour(count: int) -> Iterator[Figure]:
    for x, y in ((0, 1), (1, 0), (0, 2)):
        for drawn, axes in (trials(count), trials(9, choices=count)):
            yield study_plots.plot_contour(drawn, axes[x], axes[y], OBJECTIVE)


def draw_study_front(count: int) -> Iterator[Figure]:
    drawn, _ = trials(count)
    for front in ([0], [trial.number for trial in drawn]):
        yield study_plots.plot_pareto_front(drawn, ["val/accuracy", OBJECTIVE], front, minimize_second=True)


DRAWINGS: dict[Callable[..., Figure], Callable[[int], Iterator[Figure]]] = {
    class_counts.plot_class_counts: draw_class_counts,
    confusion_matrix.plot_confusion_matrix: draw_confusion_matrix,
    explanation_grid.plot_explanations: draw_explanations,
    feature_map_grid.plot_feature_maps: draw_feature_maps,
    feature_map_grid.plot_filters: draw_filters,
    pareto_front.plot_pareto_front: draw_pareto_front,
    prediction_grid.plot_predictions: draw_predictions,
    recall_by_class.plot_recall_by_class: draw_recall_by_class,
    reliability_diagram.plot_reliability_diagram: draw_reliability,
    roc_curve.plot_roc_curve: draw_roc,
    sample_grid.plot_augmented_samples: draw_augmented,
    sample_grid.plot_samples: draw_samples,
    study_plots.plot_contour: draw_contour,
    study_plots.plot_intermediate_values: draw_intermediate_values,
    study_plots.plot_optimization_history: draw_history,
    study_plots.plot_parallel_coordinate: draw_parallel_coordinate,
    study_plots.plot_param_importances: draw_importances,
    study_plots.plot_pareto_front: draw_study_front,
    study_plots.plot_slice: draw_slice,
    training_curves.plot_fold_curves: draw_fold_curves,
    training_curves.plot_training_curves: draw_training_curves,
}


def test_every_plot_is_drawn_here() -> None:
    found = set()
    for module in pkgutil.iter_modules(plots.__path__, f"{plots.__name__}."):
        functions = inspect.getmembers(importlib.import_module(module.name), inspect.isfunction)
        found |= {function for name, function in functions if name.startswith("plot_")}
    assert found == set(DRAWINGS)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("plot", DRAWINGS, ids=lambda plot: f"{plot.__module__.rpartition('.')[2]}.{plot.__name__}")
def test_all_texts_can_be_read(plot: Callable[..., Figure], count: int) -> None:
    for number, figure in enumerate(DRAWINGS[plot](count)):
        assert list_faults(figure) == [], f"figure {number}"
