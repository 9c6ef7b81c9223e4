"""What is told of a study: in the order in which trials ended, each once, and the best value after each."""

from __future__ import annotations

import pytest
from optuna.trial import TrialState

from tinybench.core.errors import TrackingError
from tinybench.sweeps.slots import ERROR
from tinybench.sweeps.study_progress import Story


class Book:
    """Keeps what is written and what is told."""

    def __init__(self):
        self.points, self.told = {}, []

    def log_metrics(self, run, values, step, at):
        self.points.setdefault(step, set()).add((values["best_value/val/accuracy"], at))

    def on_trial_end(self, study, trial, best):
        self.told.append((trial.number, [each.number for each in best]))


@pytest.fixture
def book():
    return Book()


def end(made, trial, value):
    made.draw(trial)
    if value is None:
        trial.set_user_attr(ERROR, "NaN")
    made.end(trial, None if value is None else [value], TrialState.FAIL if value is None else TrialState.COMPLETE)


def test_the_best_value_after_each_trial_whenever_it_is_looked_at(made, book):
    made.plan()
    story = Story(made, book, "parent", book)
    first, second, third, fourth = (made.take() for _ in range(4))
    end(made, third, 0.3)
    end(made, first, 0.5)  # both before anybody looked
    story.goes_on()
    end(made, second, None)
    end(made, fourth, 0.4)
    story.goes_on()
    story.goes_on()
    assert [[value for value, _ in book.points[step]] for step in sorted(book.points)] == [[0.3], [0.5], [0.5], [0.5]]
    assert book.told == [(2, [2]), (0, [0]), (1, [0]), (3, [0])]


def test_a_resume_tells_nothing_twice_and_logs_the_same_points(made, book):
    made.plan()
    end(made, made.take(), 0.3)
    end(made, made.take(), 0.2)
    Story(made, book, "parent", book).goes_on()
    again = Story(made, book, "parent", book)
    again.goes_on()
    end(made, made.take(), 0.6)
    again.goes_on()
    assert {step: len(points) for step, points in book.points.items()} == {1: 1, 2: 1, 3: 1}
    assert [number for number, _ in book.told] == [2]


def test_a_study_of_failures_is_ended_before_its_budget_is_spent(made, book):
    made.budget = 9
    made.plan()
    story = Story(made, book, "parent", book)
    for _ in range(5):
        story.check()
        end(made, made.take(), None)
        story.goes_on()
    with pytest.raises(TrackingError, match=r"All of the first 5 trials failed, the last with: NaN .*--retry-failed"):
        story.check()
    Story(made, book, "parent", book).check()  # a resume goes on until it knows better
