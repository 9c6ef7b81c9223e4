"""Figures against scikit-learn, and at their borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from tinybench.evaluation import metrics


def answers(images: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, images - classes)]).astype(np.int32)
    return labels, generator.dirichlet(np.ones(classes), images).astype(np.float32)


@pytest.mark.parametrize("classes", [3, 7, 12])
def test_figures_are_those_of_scikit_learn(classes: int) -> None:
    labels, probabilities = answers(100, classes, classes)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    every, predicted = np.arange(classes), exact.argmax(axis=1)
    expected = {
        "log_loss": reference.log_loss(labels, exact),
        "accuracy": reference.accuracy_score(labels, predicted),
        "top5": reference.top_k_accuracy_score(labels, exact, k=5, labels=every) if classes > 5 else 1.0,
        "balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
        "cohen_kappa": reference.cohen_kappa_score(labels, predicted),
        "mcc": reference.matthews_corrcoef(labels, predicted),
        "auc_ovr_macro": reference.roc_auc_score(labels, exact, multi_class="ovr", average="macro"),
    }
    for average in ("macro", "weighted"):
        expected |= {
            f"precision_{average}": reference.precision_score(labels, predicted, average=average, zero_division=0),
            f"recall_{average}": reference.recall_score(labels, predicted, average=average),
            f"f1_{average}": reference.f1_score(labels, predicted, average=average),
        }
    found = metrics.classification_metrics(labels, probabilities)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert set(found) - set(expected) == {"ece", "mce", "brier", "images", "classes"}
    assert all(type(value) is float for value in found.values())


def test_by_hand() -> None:
    labels = np.array([0, 1, 1, 2])
    probabilities = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.5, 0.25]])
    found = metrics.classification_metrics(labels, probabilities)
    assert found["accuracy"] == 0.5
    assert found["log_loss"] == pytest.approx((2 * np.log(2) + 2 * np.log(4)) / 4)
    assert found["f1_macro"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found["balanced_accuracy"] == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_perfect_answers() -> None:
    found = metrics.classification_metrics(np.arange(6), np.eye(6))
    assert (found.pop("images"), found.pop("classes")) == (6, 6)
    worst = {name for name, value in found.items() if value == pytest.approx(0, abs=1e-12)}
    assert worst == {"log_loss", "ece", "mce", "brier"}
    assert {value for name, value in found.items() if name not in worst} == {1.0}


def test_a_class_without_images_is_left_out_of_auc() -> None:
    labels, probabilities = answers(50, 4)
    labels = np.where(labels == 3, 0, labels)
    areas = [reference.roc_auc_score(labels == label, probabilities[:, label]) for label in range(3)]
    found = metrics.classification_metrics(labels, probabilities)
    assert found["auc_ovr_macro"] == pytest.approx(np.mean(areas))
    predicted = probabilities.argmax(axis=1)
    assert found["f1_macro"] == pytest.approx(reference.f1_score(labels, predicted, average="macro", zero_division=0))
    of_present = reference.recall_score(labels, predicted, labels=range(3), average="macro")
    assert found["balanced_accuracy"] == pytest.approx(of_present)


def test_images_of_one_class_have_no_auc_and_no_agreement_beyond_chance() -> None:
    found = metrics.classification_metrics(np.zeros(4, int), np.tile([0.9, 0.1], (4, 1)))
    assert "auc_ovr_macro" not in found
    assert (found["accuracy"], found["cohen_kappa"], found["mcc"]) == (1, 0, 0)
    assert found["ece"] == pytest.approx(0.1)


def test_constant_answers_are_worth_chance() -> None:
    labels = np.repeat([0, 1, 2, 3], 5)
    found = metrics.classification_metrics(labels, np.full((20, 4), 0.25))
    assert found["auc_ovr_macro"] == 0.5
    assert found["accuracy"] == 0.25
    assert found["log_loss"] == pytest.approx(np.log(4))
    assert found["ece"] == pytest.approx(0)


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([], np.zeros((0, 3)), "Expected a row of probabilities per label"),
        ([0, 1], np.eye(3), "Expected a row of probabilities per label"),
        ([0], [[np.nan, 1]], "got NaN or infinity"),
        ([0], [[np.inf, 0]], "got NaN or infinity"),
        ([2], [[0.5, 0.5]], "Expected labels from 0 to 1"),
        ([-1], [[0.5, 0.5]], "Expected labels from 0 to 1"),
        ([0], [[3.0, 4.0]], "sum to one"),
        ([0], [[1.5, -0.5]], "sum to one"),
    ],
)
def test_what_is_no_answer_is_refused(labels: list[int], probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.classification_metrics(np.array(labels, int), np.asarray(probabilities))


@given(st.integers(2, 30), st.integers(2, 9), st.integers(0, 99))
def test_ties_and_areas_agree_with_scikit_learn(images: int, classes: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    scores = generator.integers(0, 4, (images, classes)).astype(float)  # many ties
    found = metrics.auc_by_class(labels, scores)
    for label in range(classes):
        if 0 < np.count_nonzero(labels == label) < images:
            assert found[label] == pytest.approx(reference.roc_auc_score(labels == label, scores[:, label]))
        else:
            assert np.isnan(found[label])


@given(st.integers(2, 40), st.integers(2, 6), st.integers(0, 99))
def test_confusion_counts_every_image_once(images: int, classes: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels, predicted = generator.integers(0, classes, (2, images))
    counts = metrics.confusion_matrix(labels, predicted, classes)
    if len({*labels, *predicted}) > 1:
        np.testing.assert_array_equal(counts, reference.confusion_matrix(labels, predicted, labels=range(classes)))
    pairs = metrics.most_confused_pairs(counts, 100)
    assert sum(count for *_, count in pairs) == np.count_nonzero(labels != predicted)
    assert [count for *_, count in pairs] == sorted((count for *_, count in pairs), reverse=True)
    assert all(true != taken and count == counts[true, taken] for true, taken, count in pairs)


def test_a_superclass_is_right_where_the_sum_of_its_classes_is_the_largest() -> None:
    probabilities = np.array([[0.3, 0.3, 0.4], [0.1, 0.2, 0.7], [0.0, 0.9, 0.1]])
    found = metrics.superclass_accuracy(np.array([0, 0, 2]), probabilities, ("pet", "pet", "car"))
    assert found == {"car": 0.0, "pet": 0.5}


def test_the_top_counts_ties_for_the_image() -> None:
    probabilities = np.full((1, 6), 1 / 6)
    assert metrics.top_k_hits(np.array([5]), probabilities, 1).all()


def test_the_interval_of_a_class_is_wilson_s() -> None:
    labels, predicted = np.repeat([0, 1, 2], [50, 4, 1]), np.repeat([0, 1], [50, 5])
    predicted[:20] = 1
    found = metrics.per_class_metrics(labels, predicted, 4).recall_interval()
    for place, (right, count) in enumerate([(30, 50), (4, 4), (0, 1)]):
        exact = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
        assert found[place].tolist() == pytest.approx([exact.low, exact.high], abs=1e-9)
    assert np.isnan(found[3]).all()


def test_of_ties_as_many_are_among_the_best_as_a_draw_would_have() -> None:
    labels = np.arange(200) % 20
    assert metrics.classification_metrics(labels, np.full((200, 20), 0.05))["top5"] == pytest.approx(5 / 20)
    tied = np.array([[0.4, 0.2, 0.2, 0.2]] * 3)
    assert metrics.top_k_hits(np.array([0, 1, 3]), tied, 2).tolist() == pytest.approx([1, 1 / 3, 1 / 3])
