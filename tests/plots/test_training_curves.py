"""Training curves as a picture and as a table."""

from __future__ import annotations

import csv
import io

import pytest

from tinybench.plots import training_curves
from tinybench.training.progress import EPOCH_METRICS, Epoch


@pytest.fixture
def epochs() -> list[Epoch]:
    return [
        Epoch(number, {name: number / (place + 3) for place, name in enumerate(EPOCH_METRICS)}, number)
        for number in (1, 2, 3)
    ]


def test_three_panels_with_both_curves(epochs: list[Epoch]) -> None:
    figure = training_curves.plot_training_curves(epochs, "smallcnn on digits")
    assert figure.get_suptitle() == "smallcnn on digits"
    assert [axes.get_ylabel() for axes in figure.axes] == ["Loss", "Top-1 accuracy", "Top-5 accuracy"]
    for axes, name in zip(figure.axes, ("loss", "accuracy", "top5"), strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        assert set(lines) == {"training", "validation"}
        for label, split in (("training", "train"), ("validation", "val")):
            assert list(lines[label].get_xdata()) == [1, 2, 3]
            assert list(lines[label].get_ydata()) == [epoch.metrics[f"{split}/{name}"] for epoch in epochs]


def test_switch_and_kept_weights_are_marked(epochs: list[Epoch]) -> None:
    figure = training_curves.plot_training_curves(epochs, "title", switch=1, best=2)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines["fine-tuning begins"].get_xdata()) == [1.5, 1.5]
    assert list(lines["best weights"].get_xdata()) == [2]
    assert list(lines["best weights"].get_ydata()) == [epochs[1].metrics["val/loss"]]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["training", "validation", "fine-tuning begins", "best weights"]


def test_a_best_epoch_that_is_not_shown_is_not_marked(epochs: list[Epoch]) -> None:
    figure = training_curves.plot_training_curves(epochs, "title", best=0)
    assert "best weights" not in [line.get_label() for line in figure.axes[0].lines]


def test_a_single_epoch_can_be_drawn(epochs: list[Epoch]) -> None:
    picture = io.BytesIO()
    figure = training_curves.plot_training_curves(epochs[1:2], "title", best=2)
    figure.savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")
    low, high = figure.axes[0].get_xlim()
    assert [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high] == [2]


def test_the_values_of_a_single_epoch_are_written(epochs: list[Epoch]) -> None:
    figure = training_curves.plot_training_curves(epochs[1:2], "title", best=2)
    for axes, name in zip(figure.axes, ("loss", "accuracy", "top5"), strict=True):
        expected = [
            f"{split} {epochs[1].metrics[f'{key}/{name}']:.3g}"
            for split, key in (("training", "train"), ("validation", "val"))
        ]
        assert [text.get_text() for text in axes.texts] == expected
    assert not any(axes.texts for axes in training_curves.plot_training_curves(epochs, "title").axes)


@pytest.mark.parametrize(("values", "panels"), [((1.0, 1.0), 2), ((1.0, 0.99), 3), ((0.5, 0.5), 3)])
def test_top_5_of_few_classes_which_is_always_1_has_no_panel(
    epochs: list[Epoch], values: tuple[float, float], panels: int
) -> None:
    flat = [
        Epoch(epoch.number, epoch.metrics | dict(zip(("train/top5", "val/top5"), values, strict=True)), 0)
        for epoch in epochs
    ]
    for figure in (
        training_curves.plot_training_curves(flat, "title"),
        training_curves.plot_fold_curves([flat, flat], "title"),
    ):
        assert [axes.get_ylabel() for axes in figure.axes] == ["Loss", "Top-1 accuracy", "Top-5 accuracy"][:panels]
        assert figure.get_suptitle() == ("title\nTop-5 accuracy is 100% in every epoch" if panels == 2 else "title")


def test_folds_are_drawn_with_their_mean_over_the_epochs_that_all_have(epochs: list[Epoch]) -> None:
    folds = [epochs, epochs[:2]]
    figure = training_curves.plot_fold_curves(folds, "title")
    for axes, name in zip(figure.axes, ("loss", "accuracy", "top5"), strict=True):
        means = {line.get_label(): line for line in axes.lines if "mean of 2 folds" in line.get_label()}
        assert [*means] == ["training, mean of 2 folds", "validation, mean of 2 folds"]
        expected = [epoch.metrics[f"val/{name}"] for epoch in epochs[:2]]
        assert list(means["validation, mean of 2 folds"].get_ydata()) == pytest.approx(expected)
        assert len(axes.lines) == 6
    rows = [*csv.DictReader(io.StringIO(training_curves.fold_curves_csv(folds)))]
    assert [(row["fold"], row["epoch"]) for row in rows] == [("1", "1"), ("1", "2"), ("1", "3"), ("2", "1"), ("2", "2")]


def test_the_table_has_a_row_an_epoch(epochs: list[Epoch]) -> None:
    rows = [*csv.DictReader(io.StringIO(training_curves.training_curves_csv(epochs), newline=""))]
    assert [row.pop("epoch") for row in rows] == ["1", "2", "3"]
    for row, epoch in zip(rows, epochs, strict=True):
        assert {name: float(value) for name, value in row.items()} == epoch.metrics
