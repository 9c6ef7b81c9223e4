"""What is told of a study: in the order in which trials ended, each once, and the best value after each."""

from __future__ import annotations

import pytest
from optuna.trial import TrialState

from tinybench.core.errors import TrackingError
from tinybench.sweeps import samplers
from tinybench.sweeps.slots import ERROR
from tinybench.sweeps.study_progress import StudyProgress


class Book:
    """Keeps what is written and what is told."""

    def __init__(self):
        self.points, self.told = {}, []

    def log_metrics(self, values, step, at):
        self.points.setdefault(step, set()).add((values["best_value/val/accuracy"], at))

    def on_trial_end(self, study, trial, best):
        self.told.append((trial.number, [each.number for each in best]))


@pytest.fixture
def book():
    return Book()


def end(made, queue, trial, value):
    samplers.suggest_values(trial, made.space)
    if value is None:
        trial.set_user_attr(ERROR, "NaN")
    queue.tell(trial, None if value is None else [value], TrialState.FAIL if value is None else TrialState.COMPLETE)


def test_the_best_value_after_each_trial_whenever_it_is_looked_at(made, queue, book):
    queue.fill()
    story = StudyProgress(made, book, book)
    first, second, third, fourth = (queue.take() for _ in range(4))
    end(made, queue, third, 0.3)
    end(made, queue, first, 0.5)  # both before anybody looked
    story.update()
    end(made, queue, second, None)
    end(made, queue, fourth, 0.4)
    story.update()
    story.update()
    assert [[value for value, _ in book.points[step]] for step in sorted(book.points)] == [[0.3], [0.5], [0.5], [0.5]]
    assert book.told == [(2, [2]), (0, [0]), (1, [0]), (3, [0])]


def test_a_resume_tells_nothing_twice_and_logs_the_same_points(made, queue, book):
    queue.fill()
    end(made, queue, queue.take(), 0.3)
    end(made, queue, queue.take(), 0.2)
    StudyProgress(made, book, book).update()
    again = StudyProgress(made, book, book)
    again.update()
    end(made, queue, queue.take(), 0.6)
    again.update()
    assert {step: len(points) for step, points in book.points.items()} == {1: 1, 2: 1, 3: 1}
    assert [number for number, _ in book.told] == [2]


def test_a_study_of_failures_is_ended_before_its_budget_is_spent(made, queue, book):
    made.budget = 9
    queue.fill()
    story = StudyProgress(made, book, book)
    for _ in range(5):
        story.check_failures()
        end(made, queue, queue.take(), None)
        story.update()
    with pytest.raises(TrackingError, match=r"All of the first 5 trials failed, the last with: NaN .*--retry-failed"):
        story.check_failures()
    StudyProgress(made, book, book).check_failures()  # a resume goes on until it knows better
