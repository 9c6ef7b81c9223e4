"""Runs of a real store against each other, by the answers that they kept."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from stores import elsewhere, fresh

import tinybench
from tinybench.cli import root
from tinybench.commands import compare
from tinybench.core.errors import ConfigError, TrackingError

SMALL = {"recipe": "quickstart", "phases": "scratch", "scratch.epochs": 2, "scratch.lr": 3e-3, "data.per_class": 20}
SMALL |= {"data.test_per_class": 10, "track.pictures": False, "track.costs": "off"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def runs(store: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two seeds of one model, one of them twice, one run of another, and one that was tested on other images."""
    wanted = {
        "first": {},
        "again": {},
        "second": {"seed": 1},
        "other": {"head.hidden": 4},
        "fewer": {"data.test_per_class": 5},
    }
    with elsewhere(tmp_path_factory):
        return {
            name: tinybench.train(**SMALL | {"track.uri": store} | settings).run_id for name, settings in wanted.items()
        }


def test_single_runs_are_told_apart_by_what_differs(store: str, runs: dict[str, str]) -> None:
    found = compare.compare_runs([runs["first"], runs["other"]], uri=store)
    assert not found.compares_models
    assert [*found.estimates] == [
        f"smallcnn on digits, head.hidden 64, seed 0 ({runs['first'][:8]})",
        f"smallcnn on digits, head.hidden 4, seed 0 ({runs['other'][:8]})",
    ]


def test_two_seeds_of_one_model_are_compared_as_runs(store: str, runs: dict[str, str]) -> None:
    found = compare.compare_runs([runs["first"], runs["second"]], uri=store)
    assert not found.compares_models
    assert [name.split("(")[0] for name in found.estimates] == [f"smallcnn on digits, seed {seed} " for seed in (0, 1)]


def test_seeds_of_one_model_are_taken_together(store: str, runs: dict[str, str]) -> None:
    found = compare.compare_runs([runs["first"], runs["second"], runs["other"]], uri=store)
    assert found.compares_models
    (several, single) = found.estimates.items()
    assert "2 seeds" in several[0]
    assert several[1].deviation is not None
    assert single[1].deviation is None


def test_a_phase_stands_for_its_run(store: str, runs: dict[str, str]) -> None:
    from tinybench.tracking import run_record
    from tinybench.tracking.tracker import Tracker

    phase = run_record.find_final_run(Tracker.at(store), runs["first"]).info.run_id
    found = compare.compare_runs([phase, runs["other"]], uri=store)
    whole = compare.compare_runs([runs["first"], runs["other"]], uri=store)
    assert [each.value for each in found.estimates.values()] == [each.value for each in whole.estimates.values()]
    with pytest.raises(ConfigError, match=f"^Runs {runs['first']} and {phase} are one model: a run stands"):
        compare.compare_runs([runs["first"], phase], uri=store)


def test_the_command_says_what_is_compared(store: str, runs: dict[str, str]) -> None:
    words = ["compare", runs["first"], runs["other"], "--metric", "f1_macro", "--uri", store]
    output = CliRunner().invoke(root.cli, words, catch_exceptions=False).output
    assert "f1_macro" in output
    assert " minus " in output
    assert "paired bootstrap" in output
    assert "This compares these runs" in output
    assert ("significant" in output) or ("tie" in output)


def test_machines_get_json(store: str, runs: dict[str, str]) -> None:
    words = ["compare", runs["first"], runs["other"], "--json", "--uri", store]
    found = json.loads(CliRunner().invoke(root.cli, words, catch_exceptions=False).stdout)
    expected = compare.compare_runs([runs["first"], runs["other"]], uri=store)
    assert (found["figure"], found["of_models"]) == ("accuracy", False)
    assert {name: each["value"] for name, each in found["estimates"].items()} == {
        name: each.value for name, each in expected.estimates.items()
    }
    (pair,), (difference,) = found["differences"], expected.differences
    assert (pair["p"], pair["real"]) == (difference.p, difference.significant)
    with pytest.raises(ConfigError, match="--json is for runs"):
        CliRunner().invoke(root.cli, ["compare", "--recipes", "quickstart", "--json"], catch_exceptions=False)


@pytest.mark.parametrize("figure", compare.METRICS)
def test_every_figure_can_be_compared(store: str, runs: dict[str, str], figure: str) -> None:
    found = compare.compare_runs([runs["first"], runs["other"]], metric=figure, uri=store)
    for each in found.estimates.values():
        assert each.low <= each.value <= each.high


def test_the_same_seed_twice_is_no_second_seed(store: str, runs: dict[str, str]) -> None:
    words = f"Runs {runs['first']} and {runs['again']} are one model with one seed"
    with pytest.raises(ConfigError, match=words):
        compare.compare_runs([runs["first"], runs["again"], runs["other"]], uri=store)


def test_other_test_images_are_refused(store: str, runs: dict[str, str]) -> None:
    with pytest.raises(TrackingError, match="cannot be compared: They were not tested on the same images"):
        compare.compare_runs([runs["first"], runs["fewer"]], uri=store)


@pytest.mark.parametrize(
    ("ids", "figure", "message"),
    [
        (["first"], "accuracy", "at least two different runs"),
        (["first", "first"], "accuracy", "at least two different runs"),
        (["first", "other"], "speed", "Invalid value for `metric`: expected one of accuracy"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    store: str, runs: dict[str, str], ids: list[str], figure: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        compare.compare_runs([runs[each] for each in ids], metric=figure, uri=store)


def test_a_run_that_is_not_there_is_named(store: str, runs: dict[str, str]) -> None:
    with pytest.raises(TrackingError, match="No run 'abc'"):
        compare.compare_runs([runs["first"], "abc"], uri=store)


def test_runs_or_recipes_must_be_given() -> None:
    for words in (["compare"], ["compare", "abc", "--recipes", "quickstart"]):
        with pytest.raises(ConfigError, match="Give runs to compare, or --recipes"):
            CliRunner().invoke(root.cli, words, catch_exceptions=False)
