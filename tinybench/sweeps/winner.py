"""Train the winner of a study: the best settings once more, as a run with plots, costs and test metrics.

Only the winner is evaluated on the test images, once. It is trained from its settings and not taken from its trial, so
that its metrics are what anybody gets with these settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from tinybench.config import run_config as configuration
from tinybench.core import quiet_libraries
from tinybench.core.errors import format_error
from tinybench.job.summary_metrics import select_summary
from tinybench.sweeps.slots import METRICS
from tinybench.sweeps.study import Study
from tinybench.tracking import tags
from tinybench.tracking.journal.journal_writer import now
from tinybench.training.progress import best_metric_name

if TYPE_CHECKING:
    from tinybench.sweeps.sweep_callbacks import SweepCallbacks
    from tinybench.tracking.results import Result
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker
    from tinybench.training.run_callbacks import RunCallbacks

_WINNER = "winner"


def train_winner(
    study: Study, trial: FrozenTrial, tracker: Tracker, parent: RunWriter, callbacks: SweepCallbacks
) -> Result | None:
    """Train the settings of the best trial as a run below the study's run.

    Args:
        study: The study.
        trial: Its best trial.
        tracker: The store.
        parent: The study's run, which gets the winner's test metrics and costs.
        callbacks: Receives the events.

    Returns:
        The result; None if the trial's settings were trained before a resume, or their training failed.
    """
    earlier = study.user_attrs.get(_WINNER)
    if earlier is not None and earlier["trial"] == trial.number:
        callbacks.on_message(f"The winner, trial {trial.number}, was trained before: run {earlier['run']}.")
        return None
    callbacks.on_winner_begin(trial, study.space.objectives)
    try:
        result = _train(study, trial, tracker, parent, callbacks)
    except Exception as error:  # the study has its results: its winner can be trained at any time
        callbacks.on_message(
            f"The winner could not be trained: {format_error(error)} "
            f"Try again by: tinybench sweep --resume {study.name}"
        )
        return None
    study.set_user_attr(_WINNER, {"trial": trial.number, "run": result.run_id})
    parent.set_tags({tags.WINNER: result.run_id})
    summary = select_summary(result.metrics).items()
    metrics = {name: value for name, value in summary if name.startswith(("test/", "efficiency/"))}
    parent.log_metrics(metrics, len(study.counted_trials()), now())
    _compare_with_trial(study, trial, result, callbacks)
    return result


def _train(study: Study, trial: FrozenTrial, tracker: Tracker, parent: RunWriter, callbacks: RunCallbacks) -> Result:
    with quiet_libraries.filter_startup_noise():
        from tinybench.hardware import device
        from tinybench.job import train

        device.detect_devices()
    defaults = configuration.RunConfig().track  # trials draw no plots and measure no costs, but the winner does
    settings = {"track.pictures": defaults.pictures, "track.costs": defaults.costs} | study.settings_of_winner
    config = configuration.replace(study.space.build_config(trial.params), settings | {"track.uri": tracker.uri})
    return train.train_run(config, parent=parent, callbacks=callbacks)


def _compare_with_trial(study: Study, trial: FrozenTrial, result: Result, callbacks: RunCallbacks) -> None:
    """Tell the user about each objective that is not the same as in the trial."""
    if study.space.seeds > 1:  # the trial has the mean of several trainings
        return
    trial_metrics = trial.user_attrs[METRICS]
    for name in (best_metric_name(objective.metric) for objective in study.space.objectives):
        value = result.metrics.get(name)
        if value is not None and value != trial_metrics[name]:
            callbacks.on_message(
                f"{name} is {value:.6g} in this run and was {trial_metrics[name]:.6g} in the trial, as happens where "
                "the trial was computed with other threads (--workers) or on another machine."
            )
