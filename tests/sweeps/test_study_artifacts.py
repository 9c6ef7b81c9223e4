"""The pictures of a study: which there are, and what the interactive page makes of several objectives."""

from __future__ import annotations

import re

import pytest
from optuna.trial import TrialState
from small_study import TEXT

from tinybench.sweeps import optuna_storage, samplers, space_file, study_artifacts
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue
from tinybench.training.run_callbacks import RunCallbacks

TWO = TEXT.replace('"val/accuracy"', '["val/accuracy", "efficiency/parameters"]').replace("trials = 4", "trials = 6")


class NoMessage(RunCallbacks):
    """Fails when it is told that something could not be drawn."""

    def on_message(self, text):
        pytest.fail(text)


NO_MESSAGE = NoMessage()


def titles(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def judged(storage_url, text, values):
    """A study whose trials ended with given values."""
    made = Study.create(optuna_storage.connect(storage_url), "judged", space_file.read(text, "small"), {})
    TrialQueue(made).fill()
    for each in values:
        trial = TrialQueue(made).take()
        samplers.suggest_values(trial, made.space)
        TrialQueue(made).tell(trial, each, TrialState.COMPLETE)
    return made


@pytest.fixture
def two(storage_url):
    return judged(storage_url, TWO, [[0.5 + 0.05 * n, 1000.0 + 500 * n] for n in range(6)])


def test_several_objectives_have_a_front_and_the_best_by_the_first(two, tmp_path):
    files = study_artifacts.write_plots(two, tmp_path / "figures", NO_MESSAGE)
    assert {file.name for file in files} == {
        *("history.png", "slices.png", "parallel_coordinates.png", "importance.png", "contour.png", "pareto.png"),
        "sweep.html",
    }
    page = files[-1].read_text()
    assert titles(page) == ["Best trials", "History", "Pareto front", "Importance", "Settings",
                            "Trials by their settings", "Contour", "All trials"]  # fmt: skip
    assert "Best Value" in page  # Optuna draws it where it knows which way is better
    assert "<dt>best</dt><dd>6 trials that no other trial beats</dd>" in page


def test_few_trials_have_a_history_but_no_shares(storage_url, tmp_path):
    files = study_artifacts.write_plots(judged(storage_url, TEXT, [[0.5], [0.6]]), tmp_path / "figures", NO_MESSAGE)
    names = {file.name for file in files}
    assert {"history.png", "slices.png", "sweep.html"} <= names
    assert "importance.png" not in names


def test_without_any_there_is_nothing_to_draw(storage_url, tmp_path):
    assert study_artifacts.write_plots(judged(storage_url, TEXT, []), tmp_path / "figures", NO_MESSAGE) == []


def test_the_page_numbers_trials_as_the_study_does(storage_url, tmp_path):
    made = judged(storage_url, TEXT, [[0.5]])
    lost = TrialQueue(made).take()
    TrialQueue(made).tell(lost, None, TrialState.FAIL)
    last = TrialQueue(made).take()
    samplers.suggest_values(last, made.space)
    TrialQueue(made).tell(last, [0.9], TrialState.COMPLETE)
    page = study_artifacts.write_plots(made, tmp_path, NO_MESSAGE)[-1].read_text()
    assert f'"x":[0,{last.number}]' in page


def test_what_cannot_be_drawn_is_told_and_ends_nothing(two, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no such axis")

    monkeypatch.setattr(study_artifacts.study_plots, "plot_slice", broken)
    callbacks, told = RunCallbacks(), []
    callbacks.on_message = told.append
    files = study_artifacts.write_plots(two, tmp_path, callbacks)
    assert [file.name for file in files] == ["history.png"]
    assert told == ["Not all plots of the study could be drawn: ValueError: no such axis"]
