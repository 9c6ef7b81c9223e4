"""A worker: takes trials of a study one after another, trains them and says what became of them.

Any number of workers may serve a study, on any machine that reaches its storage.
"""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from tinybench import data
from tinybench.config import run_config as configuration
from tinybench.core.errors import in_one_line
from tinybench.hardware import device
from tinybench.sweeps import optuna_storage, study_files, train_trial, trial_costs
from tinybench.sweeps.slots import ERROR, FIGURES, INTERRUPTED, RUN
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_runs import Tracked
from tinybench.training.progress import best_metric_name
from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.training.progress import Epoch

TrainTrial = Callable[["RunConfig", "Dataset", Path, RunCallbacks], dict[str, float]]

_POLL = 1.0  # seconds between looks for a trial that waits


class Worker:
    """Serves one study until nothing is left of it."""

    def __init__(
        self,
        study: Study,
        tracked: Tracked,
        *,
        stop: Callable[[], bool] = lambda: False,
        train: TrainTrial = train_trial.train_trial,
    ) -> None:
        """Args: the study, where its trials are recorded, whether no more shall be taken, and what trains one."""
        self.study = study
        self.tracked = tracked
        self.stop = stop
        self.train = train
        self.step = 0

    def work(self) -> int:
        """Take trials until all slots are filled, or the time is over; gives how many there were."""
        done = 0
        device.use(self.study.space.base.device)
        while not (self.stop() or self.study.over()):
            trial = self.study.take()
            if trial is None:
                if self.study.settled():
                    break
                if self.study.abandoned():  # whoever gave out trials is gone
                    self.study.plan()
                time.sleep(_POLL)
            else:
                self._carry_out(trial)
                done += 1
        self.tracked.journal.flush()
        return done

    def _carry_out(self, trial: Trial) -> None:
        with _alive(self.study, trial):
            run = None
            try:
                drawn = self.study.draw(trial)
                run = self.tracked.begin(self.study, trial.number, trial.user_attrs)
                trial.set_user_attr(RUN, run)
                config = self.study.space.config(drawn)
                self.tracked.settings(run, config)
                figures = self._trained(trial, run, config)
                values = [figures[_name(each.figure)] for each in self.study.space.objectives]
                trial.set_user_attr(FIGURES, figures)
                self.study.end(trial, values, TrialState.COMPLETE)
                self.tracked.complete(run, figures, self.step)
            except optuna.TrialPruned as pruned:
                self.study.end(trial, None, TrialState.PRUNED)
                self.tracked.pruned(run, str(pruned))
            except UpdateFinishedTrialError:
                self.tracked.lost(run, "Another worker took this trial: this one gave no sign of life for too long.")
            except KeyboardInterrupt:
                with suppress(UpdateFinishedTrialError):
                    trial.set_user_attr(INTERRUPTED, True)
                    self.study.end(trial, None, TrialState.FAIL)  # without a reason: it is given out again
                self.tracked.lost(run, "Interrupted; the trial is given out again.")
                raise
            except (Exception, MemoryError) as error:  # whatever it is, it ends the trial and not the study
                reason = in_one_line(error)
                with suppress(UpdateFinishedTrialError):  # it was given out again meanwhile
                    trial.set_user_attr(ERROR, reason)
                    self.study.end(trial, None, TrialState.FAIL)
                self.tracked.failed(run, reason)

    def _trained(self, trial: Trial, run: str, config: RunConfig) -> dict[str, float]:
        """The figures of all trainings of a trial, averaged, and what its model costs where that is asked for."""
        each = [self._once(trial, run, config)] if self.study.space.seeds == 1 else self._of_seeds(trial, run, config)
        found = {name: fmean(one[name] for one in each) for name in each[0]}
        return found | (trial_costs.of_trial(self.study, config, _dataset(config)) if self.study.space.costs else {})

    def _of_seeds(self, trial: Trial, run: str, config: RunConfig) -> list[dict[str, float]]:
        """A training for each seed, in a run of its own below the trial's, which gets their mean curves."""
        found, curves = [], []
        try:
            for number in range(self.study.space.seeds):
                own, curve = configuration.replace(config, {"seed": config.seed + number}), list["Epoch"]()
                curves.append(curve)
                with self.tracked.seed(run, own) as below:
                    found.append(self._once(trial, below, own, curve, pruning=number == 0))
                    self.tracked.complete(below, found[-1], self.step)
        finally:
            for epochs in zip(*curves, strict=False):  # those that all of them have
                self.tracked.epoch(run, _mean(epochs))
        return found

    def _once(
        self, trial: Trial, run: str, config: RunConfig, curve: list[Epoch] | None = None, *, pruning: bool = True
    ) -> dict[str, float]:
        reporter = _TrialReporter(self, trial, run, curve, pruning=pruning)
        with study_files.of_trial(self.study.name) as folder:
            return self.train(config, _dataset(config), folder / "phases", reporter)


class _TrialReporter(RunCallbacks):
    """Logs the epochs of a trial, reports the objective to Optuna, and ends the training if Optuna prunes it."""

    def __init__(self, worker: Worker, trial: Trial, run: str, curve: list[Epoch] | None, *, pruning: bool) -> None:
        self._worker = worker
        self._trial = trial
        self._run = run
        self._curve = curve
        objectives = worker.study.space.objectives
        reported = pruning and len(objectives) == 1 and objectives[0].figure.startswith("val/")
        self._objective = objectives[0].figure if reported else None

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Log and report an epoch.

        Raises:
            TrialPruned: Optuna's pruner stops the trial.
        """
        self._worker.step = epoch.number
        self._worker.tracked.epoch(self._run, epoch)
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


def _name(objective: str) -> str:
    """The figure of the best epoch that an objective means."""
    return best_metric_name(objective) if objective.startswith("val/") else objective


def _mean(epochs: tuple[Epoch, ...]) -> Epoch:
    """The same epoch of several trainings as one."""
    last = epochs[-1]
    return replace(last, metrics={name: fmean(each.metrics[name] for each in epochs) for name in last.metrics})


def _dataset(config: RunConfig) -> Dataset:
    """The images of a trial; those of the trials before are the same ones."""
    about = {key: value for key, value in config.flat().items() if key.startswith("data.")}
    return _loaded(config.dataset, json.dumps(about, sort_keys=True), config.seed, config.image_size)


@functools.lru_cache(maxsize=4)
def _loaded(name: str, about: str, seed: int, image_size: int) -> Dataset:
    config = configuration.replace(configuration.RunConfig(), json.loads(about))
    return data.load(name, config.data, seed, image_size=image_size)


@contextmanager
def _alive(study: Study, trial: Trial) -> Iterator[None]:
    """Give a sign of life for a trial, again and again, from a thread of its own."""
    ended = threading.Event()

    def beat() -> None:
        while True:
            with suppress(Exception):  # a storage that does not answer now may do so the next time
                study.storage.record_heartbeat(trial._trial_id)
            if ended.wait(optuna_storage.HEARTBEAT):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
