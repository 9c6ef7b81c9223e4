"""Images side by side and classes counted: what is drawn is what was given."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from matplotlib import cbook

from tinybench.plots import class_counts, sample_grid, training_curves
from tinybench.training.progress import EPOCH_METRICS, Epoch


def shown(figure) -> list[list[np.ndarray | None]]:
    images = [[*axes.get_images()] for axes in figure.axes]
    return [found[0].get_array().data if found else None for found in images]


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_rows_of_unequal_length_keep_their_images_in_order():
    rows = [pixels(3, 8, 8, 3), pixels(1, 8, 8, 3) + 1]
    found = shown(sample_grid.plot_samples(rows, ["cat", "a very long name of a class indeed"]))
    for image, expected in zip(found[:3], rows[0], strict=True):
        np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(found[3], rows[1][0])
    assert found[4:] == [None, None]


def test_gray_images_are_shown_in_their_own_range():
    figure = sample_grid.plot_samples([np.full((1, 4, 4, 1), 100, np.uint8)], ["seven"])
    (image,) = figure.axes[0].get_images()
    assert image.get_clim() == (0, 255)
    assert image.get_array().shape == (4, 4)


def test_names_are_written_and_break_where_they_are_too_long():
    figure = sample_grid.plot_samples([pixels(1, 4, 4, 3)] * 2, ["cat", "a very long name of a class indeed"])
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words == ["cat", "a very long name of a\nclass indeed"]


@pytest.mark.parametrize("name", [r"$\frac{$", "a$b$c", "$", r"\$x$", "{}^_%", "<b>&amp;"])
def test_names_of_strangers_are_drawn_as_they_are(name: str):
    counts = {"train": np.array([1, 2])}
    grid = sample_grid.plot_samples([pixels(1, 4, 4, 3)], [name])
    bars = class_counts.plot_class_counts(counts, [name, "dog"])
    words = [grid.axes[0].texts[0].get_text(), bars.axes[0].get_yticklabels()[0].get_text()]
    curve = training_curves.plot_training_curves([Epoch(1, dict.fromkeys(EPOCH_METRICS, 0.5), 0)], name)
    words.append(curve.get_suptitle())
    for figure, text in zip((grid, bars, curve), words, strict=True):
        assert not cbook.is_math_text(text)
        assert text.replace(r"\$", "$") == name
        figure.savefig(io.BytesIO())  # mathematics that cannot be read would raise here


def test_the_first_of_augmented_images_is_said_to_be_as_it_is():
    shares = np.repeat(np.eye(2)[:, None], 4, axis=1)
    figure = sample_grid.plot_augmented_samples(pixels(2, 4, 8, 8, 3), shares, ["cat", "dog"])
    assert [axes.get_title() for axes in figure.axes[:4]] == ["original", "augmented", "augmented", "augmented"]
    words = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert words == [["cat"], [], [], [], ["dog"], [], [], []]


def test_a_mixed_image_says_what_it_is_mixed_of():
    shares = np.array([[[1, 0, 0], [0.7, 0, 0.3], [1, 0, 0], [0, 1, 0]]])
    figure = sample_grid.plot_augmented_samples(
        pixels(1, 4, 8, 8, 3), shares, ["cat", "dog", "a very long $name$ indeed"]
    )
    assert [axes.texts[-1].get_text() if axes.texts else "" for axes in figure.axes] == [
        "cat",
        "70 % cat\n30 % a very lo…",
        "",
        "100 % dog",
    ]


def test_of_many_rows_the_first_are_shown_and_counted():
    names = [f"class {number}" for number in range(21)]
    figure = sample_grid.plot_samples([pixels(2, 4, 4, 3)] * 21, names, title="Images")
    assert [axes.texts[0].get_text() for axes in figure.axes[::2]] == names[:20]
    assert figure.get_suptitle() == "Images, the first 20 of 21"
    assert sample_grid.plot_samples([pixels(2, 4, 4, 3)] * 20, names[:20]).get_suptitle() == ""


@pytest.mark.parametrize("count", [3, 200])
def test_every_class_is_counted_in_every_split(count: int):
    counts = {name: np.arange(count) + place for place, name in enumerate(("train", "validation", "test"))}
    names = [f"class {place}" for place in range(count)]
    figure = class_counts.plot_class_counts(counts, names)
    assert [axes.get_title() for axes in figure.axes] == [
        f"{name}: {values.sum():,}" for name, values in counts.items()
    ]
    if count == 3:
        assert [bar.get_width() for bar in figure.axes[1].patches] == [1, 2, 3]
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
    rows = [*csv.DictReader(io.StringIO(class_counts.class_counts_csv(counts, names)))]
    assert len(rows) == count
    assert rows[2] == {"class": "class 2", "train": "2", "validation": "3", "test": "4"}
