"""Which differences are called real: by hand, against other implementations, and by how often chance is believed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tinybench.evaluation import comparison
from tinybench.evaluation.comparison import RunGroup, compare
from tinybench.evaluation.predictions import Predictions


def run(right: np.ndarray, labels: np.ndarray | None = None) -> Predictions:
    """Answers on two classes, right where asked."""
    labels = np.zeros(len(right), int) if labels is None else labels
    taken = np.where(right, labels, 1 - labels)
    return Predictions.from_logits(np.arange(len(right)), labels, 3.0 * np.eye(2)[taken])


def chance(images: int, share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(images) < share


@pytest.mark.parametrize(("alone", "other"), [(0, 0), (1, 0), (6, 0), (9, 3), (20, 4)])
def test_few_discordant_images_are_tested_exactly(alone: int, other: int) -> None:
    first, second = np.ones(60, bool), np.ones(60, bool)
    second[:alone], first[alone : alone + other] = False, False
    expected = stats.binomtest(alone, alone + other).pvalue if alone + other else 1.0
    assert comparison.mcnemar_p_value(first, second) == pytest.approx(expected)


def test_many_discordant_images_are_tested_by_chi_square() -> None:
    first, second = np.ones(300, bool), np.ones(300, bool)
    second[:60], first[60:90] = False, False
    expected = stats.chi2.sf((abs(60 - 30) - 1) ** 2 / 90, 1)
    assert comparison.mcnemar_p_value(first, second) == pytest.approx(expected)


def test_holm_by_hand() -> None:
    assert comparison.adjust_p_values([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert comparison.adjust_p_values([]).tolist() == []


def test_runs_are_compared_pairwise_the_better_first() -> None:
    images = 400
    good, same, poor = (chance(images, share, seed) for share, seed in ((0.9, 0), (0.9, 1), (0.6, 2)))
    found = compare([RunGroup("poor", (run(poor),)), RunGroup("good", (run(good),)), RunGroup("same", (run(same),))])
    assert not found.compares_models
    pairs = {(each.first, each.second): each for each in found.differences}
    ranked = sorted(found.estimates, key=lambda name: -found.estimates[name].value)
    assert [*pairs] == [(ranked[0], ranked[1]), (ranked[0], "poor"), (ranked[1], "poor")]
    assert not pairs[ranked[0], ranked[1]].significant
    assert pairs["good", "poor"].significant
    assert pairs["same", "poor"].significant
    each = pairs["good", "poor"]
    assert each.value == pytest.approx(good.mean() - poor.mean())
    assert each.low < each.value < each.high
    assert found.estimates["good"].deviation is None


def test_of_a_loss_the_lower_is_the_better() -> None:
    sides = [RunGroup("poor", (run(chance(200, 0.5, 0)),)), RunGroup("good", (run(chance(200, 0.9, 1)),))]
    found = compare(sides, "log_loss")
    assert (found.differences[0].first, found.differences[0].significant) == ("good", True)
    assert found.differences[0].value < 0


def test_large_differences_stay_real_among_many_pairs() -> None:
    sides = [RunGroup(str(place), (run(chance(500, 0.3 + 0.06 * place, place)),)) for place in range(11)]
    found = compare(sides, "brier").differences
    assert len(found) == 55
    assert next(each for each in found if (each.first, each.second) == ("10", "0")).significant


def test_equal_runs_are_a_tie() -> None:
    right = chance(100, 0.8, 0)
    for figure in ("accuracy", "f1_macro", "brier"):
        (pair,) = compare([RunGroup("a", (run(right),)), RunGroup("b", (run(right),))], figure).differences
        assert (pair.value, pair.p, pair.significant) == (0, 1, False)


def test_of_models_seeds_and_images_are_resampled() -> None:
    seeds = tuple(run(chance(500, share, place)) for place, share in enumerate((0.6, 0.8, 0.7)))
    alone = compare([RunGroup("a", seeds[:1]), RunGroup("b", seeds[1:2])]).estimates["a"]
    found = compare([RunGroup("a", seeds), RunGroup("b", seeds)])
    assert found.compares_models
    together = found.estimates["a"]
    assert together.value == pytest.approx(np.mean([run.logits.argmax(1) == 0 for run in seeds]))
    assert together.deviation == pytest.approx(np.std([np.mean(run.logits.argmax(1) == 0) for run in seeds], ddof=1))
    assert together.high - together.low > 2 * (alone.high - alone.low)


@pytest.mark.slow
def test_equal_models_whose_seeds_differ_are_seldom_called_different() -> None:
    """McNemar's test on single runs would call them different far more often than in one of twenty cases."""
    images, believed, by_mcnemar = 1000, [], []
    for trial in range(40):
        generator = np.random.default_rng(trial)
        hardness = generator.random(images)  # the same images are hard for all
        share = generator.normal(0.7, 0.03, 6)
        runs = [run(hardness + generator.normal(0, 0.1, images) < each) for each in share]
        (pair,) = compare([RunGroup("a", tuple(runs[:3])), RunGroup("b", tuple(runs[3:]))]).differences
        (single,) = compare([RunGroup("a", (runs[0],)), RunGroup("b", (runs[3],))]).differences
        believed.append(pair.significant)
        by_mcnemar.append(single.significant)
    assert np.mean(believed) <= 0.1
    assert np.mean(by_mcnemar) > 0.3


def seeded(seeds: range, skills: tuple[float, float], images: int = 1500) -> list[RunGroup]:
    """Two models trained with the same seeds, which decide more than the models do."""
    hardness = np.random.default_rng(99).random(images)
    luck = {seed: np.random.default_rng(seed).normal(0, 0.06) for seed in seeds}
    own = np.random.default_rng(7)
    return [
        RunGroup(
            str(skill),
            tuple(run(hardness + own.normal(0, 0.02, images) < skill + luck[seed]) for seed in seeds),
            tuple(seeds),
        )
        for skill in skills
    ]


def test_models_of_the_same_seeds_are_compared_seed_by_seed() -> None:
    sides = seeded(range(4), (0.7, 0.64))
    apart = [
        RunGroup(side.name, side.predictions, tuple(seed + 10 * place for seed in side.seeds))
        for place, side in enumerate(sides)
    ]
    (paired,), (unpaired,) = compare(sides).differences, compare(apart).differences
    assert paired.value == unpaired.value
    assert paired.significant
    assert not unpaired.significant
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 2


def test_the_order_in_which_seeds_are_given_does_not_matter() -> None:
    first, second = seeded(range(3), (0.7, 0.6))
    turned = RunGroup(second.name, second.predictions[::-1], second.seeds[::-1])
    assert compare([first, second]).differences == compare([first, turned]).differences


@pytest.mark.slow
def test_equal_models_of_the_same_seeds_are_seldom_called_different() -> None:
    images, believed = 1000, []
    for trial in range(60):
        generator = np.random.default_rng(trial)
        hardness = generator.random(images)
        sides = [
            RunGroup(name, tuple(run(hardness < share) for share in generator.normal(0.7, 0.03, 3)), (0, 1, 2))
            for name in "ab"
        ]
        believed.append(compare(sides).differences[0].significant)
    assert np.mean(believed) <= 0.1


@pytest.mark.slow
def test_a_single_run_beside_a_model_of_many_seeds_is_seldom_called_different() -> None:
    """Its seed matters as much as theirs do, though it cannot show it."""
    believed = []
    for trial in range(80):
        generator = np.random.default_rng(trial)
        hardness = generator.random(300)
        runs = [run(hardness < share) for share in generator.normal(0.7, 0.05, 9)]
        (pair,) = compare([RunGroup("many", tuple(runs[:8])), RunGroup("one", tuple(runs[8:]))], "brier").differences
        believed.append(pair.significant)
    assert np.mean(believed) <= 0.12


@pytest.mark.slow
def test_few_seeds_do_not_pass_for_certainty_among_many_pairs() -> None:
    """Holm asks for small probabilities, where Student's tails are far wider than the normal ones."""
    believed = []
    for trial in range(60):
        generator = np.random.default_rng(trial)
        sides = [
            RunGroup(
                name, tuple(run(generator.random(400) < share) for share in generator.normal(0.7, 0.05, 3)), (0, 1, 2)
            )
            for name in "abcde"
        ]
        believed.append(any(pair.significant for pair in compare(sides).differences))
    assert np.mean(believed) <= 0.12


@pytest.mark.slow
def test_intervals_of_a_model_hold_the_truth_as_often_as_they_say() -> None:
    hits = []
    for trial in range(100):
        generator = np.random.default_rng(trial)
        seeds = tuple(run(generator.random(400) < share) for share in generator.normal(0.7, 0.05, 3))
        found = compare([RunGroup("a", seeds), RunGroup("b", seeds[:1])]).estimates["a"]
        hits.append(found.low <= 0.7 <= found.high)
    assert 0.9 <= np.mean(hits) <= 1


def test_other_images_are_refused() -> None:
    one = run(chance(10, 0.5, 0))
    for other in (run(chance(11, 0.5, 0)), run(chance(10, 0.5, 0), np.arange(10) % 2)):
        with pytest.raises(ValueError, match="not tested on the same images"):
            compare([RunGroup("a", (one,)), RunGroup("b", (other,))])
    with pytest.raises(ValueError, match="at least two"):
        compare([RunGroup("a", (one,))])


def test_a_figure_that_cannot_be_had_is_refused() -> None:
    side = run(chance(10, 0.5, 0))  # all images are of one class
    with pytest.raises(ValueError, match="auc_ovr_macro is not defined"):
        compare([RunGroup("a", (side,)), RunGroup("b", (side,))], "auc_ovr_macro")


def test_a_notebook_shows_estimates_and_differences() -> None:
    good, poor = chance(400, 0.9, 0), chance(400, 0.6, 2)
    result = compare([RunGroup("<b>good</b>", (run(good),)), RunGroup("poor & slow", (run(poor),))])
    html = result._repr_html_()
    assert html.count("<table>") == 2
    assert "<th>run</th><th>accuracy [95 % interval]</th>" in html
    assert f"<td>&lt;b&gt;good&lt;/b&gt;</td><td>{good.mean():.4g} [" in html
    assert "<td>&lt;b&gt;good&lt;/b&gt; minus poor &amp; slow</td>" in html
    assert "<td>significant</td>" in html
    assert "<b>" not in html
