"""Intervals against resamples that are drawn and judged one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.evaluation import intervals, metrics


def answers(images: int, classes: int, seed: int = 0, skill: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    logits = generator.normal(size=(images, classes))
    logits[np.arange(images), labels] += skill
    shares = np.exp(logits)
    return labels, shares / shares.sum(axis=1, keepdims=True)


def test_every_resample_is_judged_as_its_images_would_be() -> None:
    labels, shares = answers(300, 4)
    found = intervals.resample_metrics(labels, shares, seed=3, count=30)
    (drawn,) = intervals.draw_resamples(300, 3, 30)
    for row, counts in enumerate(drawn):
        chosen = np.repeat(np.arange(300), counts.astype(int))
        expected = metrics.classification_metrics(labels[chosen], shares[chosen])
        for name in ("accuracy", "top5", "log_loss", "brier", *metrics.COUNT_METRICS):
            assert found[name][row] == pytest.approx(expected[name], rel=1e-5), name
        # The area is its first-order expansion
        assert found["auc_ovr_macro"][row] == pytest.approx(expected["auc_ovr_macro"], abs=4e-3)


def test_resamples_without_some_class_are_judged_by_the_others() -> None:
    """Of few images of a class a resample often has none: then it has no recall, which is not a recall of 0."""
    labels, shares = answers(12, 6, seed=2)
    found = intervals.resample_metrics(labels, shares, seed=1, count=40)
    (drawn,) = intervals.draw_resamples(12, 1, 40)
    for row, counts in enumerate(drawn):
        chosen = np.repeat(np.arange(12), counts.astype(int))
        expected = metrics.classification_metrics(labels[chosen], shares[chosen])
        assert {name: found[name][row] for name in metrics.COUNT_METRICS} == pytest.approx(
            {name: expected[name] for name in metrics.COUNT_METRICS}, abs=1e-6
        )


@pytest.mark.parametrize(("label", "taken"), [(0, 0), (0, 1)])
def test_figures_of_counts_of_one_class_are_those_of_the_images(label: int, taken: int) -> None:
    labels, shares = np.full(7, label), np.tile(np.eye(3)[taken], (7, 1))
    expected = metrics.classification_metrics(labels, shares)
    for name, values in intervals.resample_metrics(labels, shares, count=3).items():
        assert values == pytest.approx([expected[name]] * 3), name


def test_the_area_varies_as_that_of_the_images_drawn_one_by_one() -> None:
    labels, shares = answers(400, 3, seed=1)
    ours = intervals.resample_metrics(labels, shares, count=500)["auc_ovr_macro"]
    (drawn, *_) = intervals.draw_resamples(400, 9, 250)
    theirs = []
    for counts in drawn:
        chosen = np.repeat(np.arange(400), counts.astype(int))
        theirs.append(np.nanmean(metrics.auc_by_class(labels[chosen], shares[chosen])))
    assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.15)
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=2e-3)


def test_runs_are_judged_on_the_same_resamples() -> None:
    labels, shares = answers(200, 6)
    _, others = answers(200, 6, seed=5)
    for figure in ("accuracy", "f1_macro", "cohen_kappa", "auc_ovr_macro"):
        found = intervals.resample_runs(labels, [shares, others], figure, seed=4, count=300)
        np.testing.assert_allclose(found[0], intervals.resample_metrics(labels, shares, 4, 300)[figure], rtol=1e-5)
        np.testing.assert_allclose(found[1], intervals.resample_metrics(labels, others, 4, 300)[figure], rtol=1e-5)


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 99))
def test_contributions_are_the_figure_in_the_mean(images: int, classes: int, seed: int) -> None:
    labels, shares = answers(images, classes, seed)
    expected = metrics.classification_metrics(labels, shares)
    for name, values in intervals.image_contributions(labels, shares).items():
        assert values.shape == (images,)
        assert values.mean() == pytest.approx(expected[name], abs=1e-9), name


def test_an_interval_holds_the_figure_and_narrows_with_images() -> None:
    wide, narrow = (intervals.bootstrap_intervals(*answers(images, 7)) for images in (100, 3000))
    for name, (low, high) in narrow.items():
        assert low < metrics.classification_metrics(*answers(3000, 7))[name] < high
        assert high - low < wide[name][1] - wide[name][0]
    # Of a share, as the textbook has it
    share = metrics.classification_metrics(*answers(3000, 7))["accuracy"]
    low, high = narrow["accuracy"]
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(share * (1 - share) / 3000), rel=0.06)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    hits = []
    for seed in range(150):
        right = np.random.default_rng(seed).random(150) < 0.7
        shares = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
        low, high = intervals.bootstrap_intervals(np.zeros(150, int), shares, seed)["accuracy"]
        hits.append(low <= 0.7 <= high)
    assert 0.89 <= np.mean(hits) <= 0.99


def test_the_same_seed_draws_the_same_images() -> None:
    labels, shares = answers(50, 3)
    assert intervals.bootstrap_intervals(labels, shares, 1) == intervals.bootstrap_intervals(labels, shares, 1)
    assert intervals.bootstrap_intervals(labels, shares, 1) != intervals.bootstrap_intervals(labels, shares, 2)


def test_draws_are_as_many_as_there_are_images() -> None:
    blocks = [*intervals.draw_resamples(30, 0, 600)]
    assert sum(map(len, blocks)) == 600
    assert all((block.sum(axis=1) == 30).all() for block in blocks)


def test_images_of_one_class_have_all_intervals_but_that_of_the_area() -> None:
    found = intervals.bootstrap_intervals(np.zeros(5, int), np.tile([0.9, 0.1], (5, 1)))
    assert "auc_ovr_macro" not in found
    low, high = found["accuracy"]
    assert (low, high) == (pytest.approx(0.025 ** (1 / 5)), 1)


@pytest.mark.parametrize("each", [1, 2, 3, 10])
def test_an_interval_holds_its_figure_however_few_images_classes_have(each: int) -> None:
    classes = 60
    generator = np.random.default_rng(each)
    labels = np.repeat(np.arange(classes), each)
    logits = generator.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += 2.4
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = metrics.classification_metrics(labels, shares)
    for name, (low, high) in intervals.bootstrap_intervals(labels, shares).items():
        assert low < expected[name] < high, name


def test_agreement_below_chance_has_an_interval_below_nothing() -> None:
    labels = np.arange(60) % 3
    shares = np.eye(3)[(labels + 1) % 3] * 0.8 + 0.2 / 3
    shares[:5] = np.eye(3)[labels[:5]]
    found = intervals.bootstrap_intervals(labels, shares)
    for name in ("cohen_kappa", "mcc"):
        low, high = found[name]
        assert -1 <= low < metrics.classification_metrics(labels, shares)[name] < high < 0


def test_where_all_is_right_shares_have_exact_intervals_and_others_none() -> None:
    labels = np.arange(40) % 8
    found = intervals.bootstrap_intervals(labels, np.eye(8)[labels] * 0.9 + 0.1 / 8)
    low = 0.025 ** (1 / 40)
    for name in ("accuracy", "recall_weighted", "top5"):
        assert found[name] == (pytest.approx(low), 1)
    for name in ("f1_macro", "mcc", "balanced_accuracy", "auc_ovr_macro"):
        assert np.isnan(found[name]).all()


def test_an_interval_stays_within_what_a_figure_can_be() -> None:
    labels, shares = answers(30, 2, skill=2.5)
    for name, (low, high) in intervals.bootstrap_intervals(labels, shares).items():
        assert 0 <= low <= high
        assert high <= 1 or name in intervals.LOWER_IS_BETTER
