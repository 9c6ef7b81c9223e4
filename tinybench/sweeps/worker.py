"""The loop of a worker: it takes the trials of a study one after another, trains them and reports their results.

Any number of workers may serve a study, on any machine that reaches its storage.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from tinybench import data
from tinybench.config import run_config as configuration
from tinybench.core import interruption
from tinybench.core.errors import format_error
from tinybench.hardware import device
from tinybench.sweeps import samplers, study_files, train_trial, trial_costs
from tinybench.sweeps.deadline import Deadline
from tinybench.sweeps.driver_lease import DriverLease
from tinybench.sweeps.slots import ERROR, INTERRUPTED, METRICS, RUN_ID
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue
from tinybench.sweeps.trial_runs import TrialRuns
from tinybench.tracking import system_metrics
from tinybench.training.progress import best_metric_name
from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.training.progress import Epoch

TrainTrial = Callable[["RunConfig", "Dataset", Path, RunCallbacks], dict[str, float]]

_POLL_SECONDS = 1.0  # between two looks for a waiting trial


class Worker:
    """A worker of one study.

    Args:
        study: The study.
        runs: Logs its trials.
        should_stop: Returns whether to take no more trials.
        train: Trains a trial.
    """

    def __init__(
        self,
        study: Study,
        runs: TrialRuns,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        train: TrainTrial = train_trial.train_trial,
    ) -> None:
        self.study = study
        self.runs = runs
        self.should_stop = should_stop
        self.train = train
        self.last_epoch = 0
        self._queue = TrialQueue(study)
        self._deadline = Deadline(study)
        self._lease = DriverLease(study)

    def run(self) -> int:
        """Train trials until the study is finished or its time is over, and return how many were trained here."""
        count = 0
        device.select_device(self.study.space.base.device)
        failed_before = self.study.count_hopeless()
        while not (self.should_stop() or self._deadline.is_over()):
            if self.study.count_hopeless() > failed_before:
                if self._lease.is_free():
                    break
                time.sleep(_POLL_SECONDS)  # until the driver has seen it and ends the study
                continue
            trial = self._queue.take()
            if trial is not None:
                self._run_trial(trial)
                count += 1
                continue
            if self.study.is_finished():
                break
            if self._lease.is_free():  # the driver, who fills the queue, is gone
                self._queue.fill()
            time.sleep(_POLL_SECONDS)
        return count

    def _run_trial(self, trial: Trial) -> None:
        with self._queue.keep_alive(trial):
            run: RunWriter | None = None
            try:
                values = samplers.suggest_values(trial, self.study.space)
                run = self.runs.open_trial(self.study, trial.number, trial.user_attrs)
                trial.set_user_attr(RUN_ID, run.key)
                config = self.study.space.build_config(values)
                self.runs.log_config(run, config)
                with interruption.restored():
                    metrics = self._train(trial, run, config)
                objectives = [metrics[_final_metric(objective.metric)] for objective in self.study.space.objectives]
                trial.set_user_attr(METRICS, metrics)
                self._queue.tell(trial, objectives, TrialState.COMPLETE)
                self.runs.end_complete(run, metrics, self.last_epoch)
            except optuna.TrialPruned as pruned:
                self._queue.tell(trial, None, TrialState.PRUNED)
                self.runs.end_pruned(run, str(pruned))
            except UpdateFinishedTrialError:
                self.runs.end_lost(run, "Another worker took this trial: this one gave no sign of life for too long.")
            except KeyboardInterrupt:
                with suppress(UpdateFinishedTrialError):
                    trial.set_user_attr(INTERRUPTED, True)
                    self._queue.tell(trial, None, TrialState.FAIL)  # without a reason, so that it is queued again
                self.runs.end_lost(run, "Interrupted; the trial is run again.")
                raise
            except (Exception, MemoryError) as error:  # any error ends the trial, and not the study
                reason = format_error(error)
                with suppress(UpdateFinishedTrialError):  # it counted as dead meanwhile
                    trial.set_user_attr(ERROR, reason)
                    self._queue.tell(trial, None, TrialState.FAIL)
                self.runs.end_failed(run, reason)

    def _train(self, trial: Trial, run: RunWriter, config: RunConfig) -> dict[str, float]:
        """Train a trial, and return its metrics, averaged over the seeds, with the costs of its model if needed."""
        if self.study.space.seeds == 1:
            trainings = [self._train_once(trial, run, config)]
        else:
            trainings = self._train_seeds(trial, run, config)
        metrics = {name: fmean(training[name] for training in trainings) for name in trainings[0]}
        if self.study.space.measures_costs:
            metrics |= trial_costs.measure(self.study, config, _load_dataset(config))
        return metrics

    def _train_seeds(self, trial: Trial, run: RunWriter, config: RunConfig) -> list[dict[str, float]]:
        """Train once for each seed, each in a run below the trial's run, which gets the mean of their curves."""
        trainings, curves = [], []
        try:
            for index in range(self.study.space.seeds):
                seed_config = configuration.replace(config, {"seed": config.seed + index})
                curve: list[Epoch] = []
                curves.append(curve)
                with self.runs.open_seed(run, seed_config) as seed_run:
                    trainings.append(self._train_once(trial, seed_run, seed_config, curve, prune=index == 0))
                    self.runs.end_complete(seed_run, trainings[-1], self.last_epoch)
        finally:
            for epochs in zip(*curves, strict=False):  # the epochs that all seeds have
                self.runs.log_epoch(run, _average(epochs))
        return trainings

    def _train_once(
        self, trial: Trial, run: RunWriter, config: RunConfig, curve: list[Epoch] | None = None, *, prune: bool = True
    ) -> dict[str, float]:
        reporter = _EpochReporter(self, trial, run, curve, prune=prune)
        with study_files.trial_folder(self.study.name) as folder, system_metrics.log_system_metrics(run):
            return self.train(config, _load_dataset(config), folder / "phases", reporter)


class _EpochReporter(RunCallbacks):
    """Logs the epochs of a trial, reports the objective to Optuna, and ends the training if Optuna prunes it.

    Args:
        worker: The worker that trains the trial.
        trial: The trial.
        run: The run to which the epochs are logged.
        curve: Gets the epochs.
        prune: Whether Optuna may prune the training.
    """

    def __init__(self, worker: Worker, trial: Trial, run: RunWriter, curve: list[Epoch] | None, *, prune: bool) -> None:
        self._worker = worker
        self._trial = trial
        self._run = run
        self._curve = curve
        objectives = worker.study.space.objectives
        is_reported = prune and len(objectives) == 1 and objectives[0].metric.startswith("val/")
        self._objective = objectives[0].metric if is_reported else None

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Log and report an epoch.

        Raises:
            TrialPruned: Optuna's pruner stops the trial.
        """
        self._worker.last_epoch = epoch.number
        self._worker.runs.log_epoch(self._run, epoch)
        if self._curve is not None:
            self._curve.append(epoch)
        if self._objective is None:
            return
        value = epoch.metrics[self._objective]
        self._trial.report(value, epoch.number)
        if self._trial.should_prune():
            pruner = self._worker.study.space.pruner
            raise optuna.TrialPruned(
                f"Pruned after epoch {epoch.number} by {pruner}: {self._objective} was {value:.4g}."
            )


def _final_metric(objective: str) -> str:
    """Return the name of an objective in the final metrics of a training."""
    return best_metric_name(objective) if objective.startswith("val/") else objective


def _average(epochs: tuple[Epoch, ...]) -> Epoch:
    """Return one epoch with the mean metrics of the same epoch of several trainings."""
    last = epochs[-1]
    return replace(last, metrics={name: fmean(epoch.metrics[name] for epoch in epochs) for name in last.metrics})


def _load_dataset(config: RunConfig) -> Dataset:
    """Return the dataset of a trial; it stays in memory for the next trials."""
    settings = {key: value for key, value in config.flat().items() if key.startswith("data.")}
    return _load_cached(config.dataset, json.dumps(settings, sort_keys=True), config.seed, config.image_size)


@functools.lru_cache(maxsize=4)
def _load_cached(name: str, settings: str, seed: int, image_size: int) -> Dataset:
    config = configuration.replace(configuration.RunConfig(), json.loads(settings))
    return data.load(name, config.data, seed, image_size=image_size)
