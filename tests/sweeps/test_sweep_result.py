"""What a notebook shows of a sweep."""

from __future__ import annotations

from dataclasses import replace

from optuna.trial import TrialState

from tinybench.sweeps import samplers
from tinybench.sweeps.sweep_result import SweepResult
from tinybench.tracking.results import PhaseResult, Result


def test_a_notebook_shows_the_best_trials_and_the_winner(made, queue) -> None:
    queue.fill()
    trial = queue.take()
    samplers.suggest_values(trial, made.space)
    queue.tell(trial, [0.5], TrialState.COMPLETE)
    made.name = "<small>"
    result = SweepResult(made, made.best_trials(), None, None, 0)
    html = result._repr_html_()
    assert "<caption>Best trials of study &lt;small&gt;, by validation images</caption>" in html
    assert "<th>trial</th><th>val/accuracy</th><th>transfer.lr</th><th>head.dropout</th>" in html
    assert "<td>0</td><td>0.5</td><td>0.001</td><td>0.25</td>" in html
    winner = Result("w", "", "", "", {"transfer": PhaseResult("p", 2, 1, {"test/accuracy": 0.75})})
    assert "<td>transfer, epoch 1, test images</td><td>0.75</td>" in replace(result, winner=winner)._repr_html_()
