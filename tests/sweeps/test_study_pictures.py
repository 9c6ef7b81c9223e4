"""The pictures of a study: which there are, and what the interactive page makes of several objectives."""

from __future__ import annotations

import re

import pytest
from optuna.trial import TrialState
from small_study import TEXT

from tinybench.sweeps import optuna_storage, space_file, study, study_artifacts

TWO = TEXT.replace('"val/accuracy"', '["val/accuracy", "efficiency/parameters"]').replace("trials = 4", "trials = 6")


def judged(storage_url, text, values):
    """A study whose trials ended with given values."""
    made = study.create(optuna_storage.connect(storage_url), "judged", space_file.read(text, "small"), {})
    made.plan()
    for each in values:
        trial = made.take()
        made.draw(trial)
        made.end(trial, each, TrialState.COMPLETE)
    return made


@pytest.fixture
def two(storage_url):
    return judged(storage_url, TWO, [[0.5 + 0.05 * n, 1000.0 + 500 * n] for n in range(6)])


def test_several_objectives_have_a_front_and_the_best_by_the_first(two, tmp_path):
    files = study_artifacts.draw(two, tmp_path / "figures", note=pytest.fail)
    assert {file.name for file in files} == {
        *("history.png", "slices.png", "parallel_coordinates.png", "importance.png", "contour.png", "pareto.png"),
        "sweep.html",
    }
    page = files[-1].read_text()
    assert "Pareto-front Plot" in page
    assert "Best Value" in page  # Optuna draws it where it knows which way is better


def test_the_page_paints_the_best_darkest_whichever_way_is_better(storage_url, tmp_path):
    for number, objective in enumerate(("val/accuracy", "val/loss")):
        made = judged(
            f"{storage_url}{number}", TEXT.replace("val/accuracy", objective), [[0.1 + 0.1 * n] for n in range(4)]
        )
        page = study_artifacts.draw(made, tmp_path / str(number), note=pytest.fail)[-1].read_text()
        reversed_ = re.findall(r'"type":"parcoords"', page)
        assert reversed_
        scales = set(re.findall(r'"reversescale":(true|false)', page))
        assert ("true" in scales) == (objective == "val/loss")


def test_few_trials_have_a_history_but_no_shares(storage_url, tmp_path):
    files = study_artifacts.draw(judged(storage_url, TEXT, [[0.5], [0.6]]), tmp_path / "figures", note=pytest.fail)
    names = {file.name for file in files}
    assert {"history.png", "slices.png", "sweep.html"} <= names
    assert "importance.png" not in names


def test_without_any_there_is_nothing_to_draw(storage_url, tmp_path):
    assert study_artifacts.draw(judged(storage_url, TEXT, []), tmp_path / "figures", note=pytest.fail) == []


def test_the_page_numbers_trials_as_the_study_does(storage_url, tmp_path):
    made = judged(storage_url, TEXT, [[0.5]])
    lost = made.take()
    made.end(lost, None, TrialState.FAIL)
    last = made.take()
    made.draw(last)
    made.end(last, [0.9], TrialState.COMPLETE)
    page = study_artifacts.draw(made, tmp_path, note=pytest.fail)[-1].read_text()
    assert f'"x":[0,{last.number}]' in page


def test_what_cannot_be_drawn_is_told_and_ends_nothing(two, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no such axis")

    monkeypatch.setattr(study_artifacts.studies, "slices", broken)
    told = []
    files = study_artifacts.draw(two, tmp_path, note=told.append)
    assert [file.name for file in files] == ["history.png"]
    assert told == ["Not all pictures of the study could be drawn: ValueError: no such axis"]
