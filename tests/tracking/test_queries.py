"""The newest finished run of a recipe, the one with its own settings before all others."""

from __future__ import annotations

import pytest
from stores import add_experiments, fresh

from tinybench import recipes
from tinybench.config.sections import TrackConfig
from tinybench.tracking import queries, tags
from tinybench.tracking.tracker import Tracker

NAME = "cifar10-simple5"


@pytest.fixture
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """A store that no other test has written to."""
    return Tracker(TrackConfig(uri=fresh(tmp_path_factory)), may_be_away=True)


def finished(tracker: Tracker, hash: str, accuracy: float, status: str = "FINISHED") -> str:
    run = tracker.open_parent_run("x")
    run.log_params({"recipe": NAME})
    run.set_tags({"tinybench.config_hash": hash})
    run.log_metrics({"test/accuracy": accuracy}, 1, 1)
    run.end(status)
    tracker.writer.flush()
    return run.id


def test_there_is_none_before_one_is_finished(tracker: Tracker) -> None:
    finished(tracker, "own", 0.5, status="FAILED")
    assert queries.find_recipe_run(tracker, NAME, "own") is None


def test_the_newest_with_the_recipe_s_own_settings_is_taken(tracker: Tracker) -> None:
    finished(tracker, "own", 0.5)
    newest = finished(tracker, "own", 0.6)
    finished(tracker, "other", 0.7)
    found, own = queries.find_recipe_run(tracker, NAME, "own")
    assert (found.info.run_id, own) == (newest, True)


def test_else_the_newest_with_others(tracker: Tracker) -> None:
    finished(tracker, "one", 0.5)
    newest = finished(tracker, "two", 0.6)
    found, own = queries.find_recipe_run(tracker, NAME, "own")
    assert (found.info.run_id, own) == (newest, False)


def test_phases_and_folds_are_no_runs_of_their_own(tracker: Tracker) -> None:
    whole = tracker.open_parent_run("x")
    for child in (tracker.create_phase_run(whole, "scratch", "x"), tracker.create_fold_run(whole, 1, "x")):
        child.log_params({"recipe": NAME})
        child.end("FINISHED")
    tracker.writer.flush()
    assert queries.find_recipe_run(tracker, NAME, "own") is None


def test_an_evaluation_of_a_run_is_not_the_run(tracker: Tracker) -> None:
    trained = finished(tracker, "own", 0.5)
    again = tracker.open_parent_run("evaluate x")
    again.log_params({"recipe": NAME, "split": "test"})
    again.set_tags({"tinybench.config_hash": "own", "tinybench.source_run": trained})
    again.end("FINISHED")
    tracker.writer.flush()
    found, own = queries.find_recipe_run(tracker, NAME, "own")
    assert (found.info.run_id, own) == (trained, True)


def test_a_progression_keeps_the_order_and_says_what_is_missing(tracker: Tracker) -> None:
    finished(tracker, "own", 0.5)
    steps = queries.find_progression(tracker, {"cifar10-vgg10": "a", NAME: "own"})
    assert [step.recipe for step in steps] == [recipes.all_recipes()[name] for name in ("cifar10-vgg10", NAME)]
    assert steps[0].metrics == {}
    assert (steps[1].metrics["test/accuracy"], steps[1].own_settings) == (0.5, True)


def test_a_step_knows_its_run_its_folds_and_its_data(tracker: Tracker) -> None:
    run = tracker.open_parent_run("x")
    run.log_params({"recipe": NAME, "model": "recipe", "recipe.model": "simple5", "data.folds": "3"})
    run.set_tags({"data.warnings": "half of it"})
    run.end("FINISHED")
    tracker.writer.flush()
    (step,) = queries.find_progression(tracker, {NAME: "own"})
    assert (step.run_id, step.folds, step.warning, step.model) == (run.id, 3, "half of it", "simple5")


@pytest.mark.parametrize("kind", ["phase", "fold", "phase of a fold"])
def test_the_top_of_a_child_is_the_whole_run(tracker: Tracker, kind: str) -> None:
    whole = tracker.open_parent_run("x")
    fold = tracker.create_fold_run(whole, 2, "fold 2")
    child = {
        "phase": lambda: tracker.create_phase_run(whole, "scratch", "x"),
        "fold": lambda: fold,
        "phase of a fold": lambda: tracker.create_phase_run(fold, "scratch", "x"),
    }[kind]()
    tracker.writer.flush()
    assert tracker.find_top_run(child.id).info.run_id == whole.id
    assert tracker.find_fold_run(whole.id, 2).info.run_id == fold.id
    assert tracker.find_fold_run(whole.id, 1) is None


def test_a_run_is_found_among_more_experiments_than_a_page_has(tracker: Tracker) -> None:
    run_id = finished(tracker, "own", 0.5)
    run = tracker.amend(tracker.get_run(run_id))
    run.set_tags({tags.MODEL_URI: "models:/m-1"})
    tracker.writer.flush()
    add_experiments(tracker.uri, 1001)
    found, _ = queries.find_recipe_run(tracker, NAME, "own")
    assert found.info.run_id == run_id
    assert [found.info.run_id for found in queries.find_model_runs(tracker)] == [run_id]


def test_a_run_that_a_process_left_on_this_machine_is_sent_first(tracker: Tracker) -> None:
    left = Tracker(TrackConfig(uri=tracker.uri, offline=True), may_be_away=True)
    run = left.open_parent_run("x")
    run.log_params({"recipe": NAME})
    run.set_tags({tags.MODEL_URI: "models:/m-1"})
    run.end("FINISHED")
    left.close()
    (found,) = queries.find_model_runs(Tracker.at(tracker.uri))
    assert found.data.tags[tags.KEY] == run.key
    assert queries.find_recipe_run(tracker, NAME, "own") is not None
