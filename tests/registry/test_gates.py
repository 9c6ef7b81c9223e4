"""Each gate refuses what it is there for, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.evaluation.predictions import Predictions
from tinybench.registry import gates, policy
from tinybench.registry.gates import EvaluatedModel, LostChampion
from tinybench.registry.policy import Policy

CLASSES, EACH, TIMES = 4, 50, 5
LABELS = np.repeat(np.arange(CLASSES), EACH)  # as often as TIMES says, for few images cannot tell models apart
COLUMNS = '[{"type": "any", "name": "image", "required": true}]'


def answers(wrong=(), sure=3.0, labels=LABELS):
    """Right but for some places, and about as sure as they are right."""
    predicted = labels.copy()
    predicted[list(wrong)] = (predicted[list(wrong)] + 1) % CLASSES
    logits = np.zeros((len(labels), CLASSES))
    logits[np.arange(len(labels)), predicted] = sure
    return Predictions.from_logits(
        np.arange(TIMES * len(labels)), np.tile(labels, TIMES), np.tile(logits, (TIMES, 1)).astype(logits.dtype)
    )


def subject(wrong=(), **changed):
    given_ = answers(wrong, changed.pop("sure", 3.0))
    rows = np.array([0, 7, 20])
    base = EvaluatedModel(
        "run",
        given_,
        1.0,
        ("a", "b", "c", "d"),
        "archive",
        "hash",
        {"inputs": COLUMNS, "outputs": COLUMNS, "params": "[]"},
        (rows, given_.probabilities()[rows]),
        size_bytes=1_000_000,
        latencies_p99_ms=(2.0, 2.0, 2.0),
    )
    return replace(base, **changed)


def verdicts(candidate, champion, limits=None):
    return {each.gate: each for each in gates.apply(limits or Policy(), candidate, champion)}


def failing(*given_, **limits):
    return {name for name, each in verdicts(*given_, **limits).items() if not each.passed}


SOME = tuple(range(0, 200, 20))  # 10 of 200, over all classes


def test_an_equal_one_holds_every_gate():
    found = verdicts(subject(SOME), subject(SOME))
    assert [*found] == [*policy.GATES]
    assert not failing(subject(SOME), subject(SOME))


def test_without_a_champion_limits_alone_are_judged():
    assert not failing(subject(SOME), None)
    limits = policy.parse("[size]\nmax_mb = 0.5\n[latency]\nmax_p99_ms = 1\n")
    assert failing(subject(SOME), None, limits=limits) == {"size", "latency"}


def test_less_accurate_is_refused_by_accuracy():
    worse = subject(tuple(range(0, 200, 5)))  # 40 wrong
    found = verdicts(worse, subject(SOME))["accuracy"]
    assert not found.passed
    assert found.metrics["difference"] == pytest.approx(-0.15)
    assert found.metrics["low"] < -0.15 < found.metrics["high"]
    assert "accuracy" not in failing(subject(SOME), worse)


def test_few_images_do_not_show_that_nothing_is_lost():
    few = replace(answers(), **{name: getattr(answers(), name)[:200] for name in ("rows", "labels", "logits")})
    alike = [replace(subject(), predictions=few, reloaded=None) for _ in range(2)]
    found = verdicts(*alike)["accuracy"]
    assert not found.passed
    assert found.observed == "1.0000, +0.0000 [-0.0188, +0.0188] against the champion"


def test_delta_is_what_may_be_lost():
    worse = subject(tuple(range(0, 200, 5)))
    assert "accuracy" in failing(worse, subject(SOME), limits=policy.parse("[accuracy]\ndelta = 0.15\n"))
    assert "accuracy" not in failing(worse, subject(SOME), limits=policy.parse("[accuracy]\ndelta = 0.3\n"))


def test_a_class_that_is_given_up_is_refused_even_where_the_whole_is_better():
    champion = subject(tuple(range(50, 110)))  # wrong in 60 images of classes b and c
    given_up = subject(tuple(range(15)))  # wrong in 15 of a
    assert failing(given_up, champion, limits=policy.parse("[calibration]\noff = true\n")) == {"classes"}
    found = verdicts(given_up, champion)["classes"]
    assert found.observed.startswith("class a fell most, by 0.3000; 1 by too much")


def test_classes_with_few_images_are_not_judged_and_that_is_said():
    limits = policy.parse("[classes]\nmin_images = 251\n")
    found = verdicts(subject(tuple(range(40))), subject(SOME), limits)["classes"]
    assert found.passed
    assert found.observed == "no class has so many images; 4 have fewer images"


def test_probabilities_that_lie_are_refused_by_calibration():
    wrong = tuple(range(0, 200, 2))
    assert failing(subject(wrong, sure=12.0), subject(wrong, sure=1.0)) == {"calibration"}
    assert failing(subject(wrong, sure=12.0, temperature=12.0), subject(wrong, sure=1.0)) == {"reload"}


def test_a_model_that_is_not_what_was_tested_is_refused_by_reload():
    rows = np.array([0, 7])
    other = subject(SOME, reloaded=(rows, np.full((2, CLASSES), 0.25)))
    assert failing(other, None) == {"reload"}
    broken = subject(SOME, reloaded=None, reload_error="it cannot be used: OSError: gone")
    assert verdicts(broken, None)["reload"].observed == "it cannot be used: OSError: gone"


def test_other_test_images_are_refused_and_nothing_is_compared_by_them():
    found = verdicts(subject(SOME), subject(SOME, test_hash="other"))
    assert {name for name, each in found.items() if not each.passed} == {"data", "accuracy", "classes", "calibration"}
    assert found["data"].observed == "1,000 test images, others than the champion's; fingerprint archive"
    assert found["accuracy"].observed == "0.9500; not compared: other test images"
    assert found["classes"].observed == "not compared: other test images"


def test_the_same_test_images_of_other_data_are_refused_unless_the_policy_takes_them():
    other = subject(SOME, data_fingerprint="another archive")
    assert failing(other, subject(SOME)) == {"data"}
    assert "fingerprint another arch, the champion's archive" in verdicts(other, subject(SOME))["data"].observed
    assert not failing(other, subject(SOME), limits=policy.parse("[data]\nsame_fingerprint = false\n"))


def test_beside_a_champion_that_is_lost_every_gate_that_compares_is_refused_and_says_why():
    found = verdicts(subject(SOME), LostChampion("the champion is lost: no model"))
    failed = {name for name, each in found.items() if not each.passed}
    assert failed == {name for name in policy.GATES if getattr(Policy(), name).compares}
    assert failed == set(policy.GATES) - {"reload"}
    assert all("not compared: the champion is lost: no model" in found[name].observed for name in failed)
    alone = policy.parse(
        "[size]\nmax_ratio = 'none'\n[latency]\nmax_ratio = 'none'\n[calibration]\nmax_rise = 'none'\n"
        + "".join(f"[{name}]\noff = true\n" for name in ("data", "signature", "accuracy", "classes"))
    )
    assert not failing(subject(SOME), LostChampion("gone"), limits=alone)


def test_a_least_accuracy_holds_without_a_champion_as_well():
    limits = policy.parse("[accuracy]\nmin_accuracy = 0.96\n")
    assert failing(subject(SOME), None, limits=limits) == {"accuracy"}
    assert failing(subject(SOME), subject(SOME), limits=limits) == {"accuracy"}
    assert not failing(subject(SOME[1:]), None, limits=policy.parse("[accuracy]\nmin_accuracy = 0.955\n"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labels": ("a", "b", "c", "e")}, "1 labels are missing"),
        ({"signature": {"inputs": "[]", "outputs": COLUMNS, "params": "[]"}}, "other inputs"),
        ({"signature": {"inputs": COLUMNS, "outputs": "[]", "params": None}}, "other outputs"),
    ],
)
def test_what_clients_count_on_is_refused_when_it_is_gone(changed, words):
    found = verdicts(subject(SOME, **changed), subject(SOME))["signature"]
    assert not found.passed
    assert found.observed == words


def test_more_than_the_champion_gave_is_compatible():
    more = COLUMNS[:-1] + ', {"type": "any", "name": "warnings", "required": true}]'
    signature = {"inputs": COLUMNS, "outputs": more, "params": "[]"}
    assert not failing(subject(SOME, signature=signature), subject(SOME))


def test_larger_and_slower_are_refused_against_the_champion():
    big = subject(SOME, size_bytes=3_000_000, latencies_p99_ms=(4.0, 4.0, 4.0))
    assert failing(big, subject(SOME)) == {"size", "latency"}


def test_latency_is_compared_round_by_round_and_a_noisy_machine_loosens_nothing():
    busy = subject(SOME, latencies_p99_ms=(2.0, 6.0, 2.2))
    found = verdicts(subject(SOME, latencies_p99_ms=(2.2, 6.6, 2.2)), busy)["latency"]
    assert found.passed
    assert found.observed == "2.2 ms (p99), 1.1 times the champion's, which differs from itself by 200%"
    assert found.limit == "at most 1.5 times the champion's"
    assert failing(subject(SOME, latencies_p99_ms=(3.2, 9.6, 3.5)), busy) == {"latency"}
    assert failing(subject(SOME, latencies_p99_ms=(1.0, 3.5, 3.5)), subject(SOME)) == {"latency"}


def test_a_latency_that_could_not_be_measured_is_refused():
    assert failing(subject(SOME, latencies_p99_ms=(), latency_error="no memory"), subject(SOME)) == {"latency"}


def test_a_champion_that_could_not_be_measured_keeps_the_candidate_from_being_compared():
    beside = subject(SOME, latencies_p99_ms=(), latency_error="no memory")
    found = verdicts(subject(SOME), beside)["latency"]
    assert (found.passed, found.observed) == (False, "2 ms (p99); not compared: the champion: no memory")
    assert not failing(subject(SOME), beside, limits=policy.parse("[latency]\nmax_ratio = 'none'\nmax_p99_ms = 3\n"))


def test_a_gate_that_is_off_is_not_judged():
    limits = policy.parse("".join(f"[{gate}]\noff = true\n" for gate in policy.GATES))
    assert gates.apply(limits, subject(SOME), subject(())) == []


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 199), max_size=60), st.sets(st.integers(0, 199), max_size=60))
def test_the_difference_of_accuracy_is_the_opposite_the_other_way_round(one, other):
    there, back = (
        verdicts(subject(tuple(a)), subject(tuple(b)))["accuracy"].metrics for a, b in ((one, other), (other, one))
    )
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["difference"] == pytest.approx((len(other) - len(one)) / 200)
    assert there["low"] <= there["difference"] <= there["high"]
