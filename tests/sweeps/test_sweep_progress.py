"""What a person sees of a sweep, on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from optuna.trial import TrialState
from rich.console import Console as Terminal

from tinybench.display.sweep_progress import SweepConsole
from tinybench.sweeps import samplers
from tinybench.sweeps.slots import ERROR
from tinybench.sweeps.sweep_result import SweepResult


@pytest.fixture
def ended(made, queue):
    """A complete, a pruned, and a failed trial; one is left."""
    queue.fill()
    first, second, third = (queue.take() for _ in range(3))
    for trial in (first, second, third):
        samplers.suggest_values(trial, made.space)
    queue.tell(first, [0.5], TrialState.COMPLETE)
    second.report(0.2, 3)
    queue.tell(second, None, TrialState.PRUNED)
    third.set_user_attr(ERROR, "The loss is nan in phase transfer, epoch 1, step 1: lower [transfer.lr].")
    queue.tell(third, None, TrialState.FAIL)
    return made


def shown(study, *, terminal):
    file = io.StringIO()
    sweep = SweepConsole(Terminal(file=file, force_terminal=terminal, width=200))
    sweep.on_study_begin(study, "http://page")
    for trial in study.counted_trials():
        sweep.on_trial_end(study, trial, study.best_trials())
    sweep.on_study_step(study.counts(), study.budget, 90.0)
    sweep.on_message("no pictures [yet]")
    sweep.print_result(SweepResult(study, study.best_trials(), None, None, 7))
    return file.getvalue()


def test_every_trial_has_a_line_that_says_what_became_of_it(ended):
    lines = shown(ended, terminal=False).splitlines()
    assert lines[0] == "Study small: val/accuracy (maximize) over 4 trials; run http://page"
    assert lines[1] == "Searched settings: transfer.lr, head.dropout"
    assert lines[2] == "trial 0: val/accuracy 0.5, the best so far (transfer.lr 0.001, head.dropout 0.25)"
    assert lines[3].startswith("trial 1: pruned after epoch 3 (transfer.lr ")
    assert "failed: The loss is nan in phase transfer, epoch 1, step 1: lower [transfer.lr]." in lines[4]
    assert "no pictures [yet]" in lines[5]
    assert "1 trials complete, 1 pruned, 1 failed." in lines


def test_what_was_not_sent_is_told_with_the_way_to_send_it(ended):
    assert "7 entries could not be sent" in shown(ended, terminal=False)
    assert "tinybench sweep --resume small" in shown(ended, terminal=False)


def test_a_terminal_has_a_bar_with_counts(ended):
    text = shown(ended, terminal=True)
    assert "3/4" in text
    assert "0 running, 1 pruned, 1 failed" in text
