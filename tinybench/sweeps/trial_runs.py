"""Log trials as MLflow runs, children of the study's run; a journal writes them, so that no trial waits for MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tinybench.config.effects import compared_text
from tinybench.config.run_config import RunConfig
from tinybench.core import interruption
from tinybench.core.errors import TrackingError, format_error
from tinybench.sweeps.slots import ERROR, METRICS, RETRY_OF, RUN_ID
from tinybench.sweeps.study import Study
from tinybench.tracking import provenance, run_kinds, tags
from tinybench.tracking.journal.journal_writer import now
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.store import STORE_ERRORS
from tinybench.tracking.store_writer import StoreWriter
from tinybench.training.progress import EPOCH_METRICS, best_metric_name

if TYPE_CHECKING:
    from tinybench.tracking.tracker import Tracker
    from tinybench.training.progress import Epoch

_DIED = "Its process died."


class TrialRuns:
    """The runs of the trials of one worker.

    Args:
        writer: Writes to the store.
        parent: Id or key of the study's run.
    """

    def __init__(self, writer: StoreWriter, parent: str) -> None:
        self.writer = writer
        self.parent = parent
        self._process_tags = provenance.source_tags() | provenance.environment_tags()

    def open_trial(self, study: Study, number: int, attributes: Mapping[str, Any]) -> RunWriter:
        """Create the run of a trial.

        Args:
            study: The study.
            number: Number of the trial.
            attributes: User attributes of the trial.
        """
        run_tags = {
            tags.KIND: run_kinds.TRIAL,
            tags.PARENT_RUN: self.parent,
            tags.STUDY: study.name,
            tags.TRIAL: str(number),
            tags.TRIAL_STATE: "running",
        }
        if RETRY_OF in attributes:
            run_tags[f"{tags.TRIAL}.{RETRY_OF}"] = str(attributes[RETRY_OF])
        return self.writer.create_run({"run": self.parent}, f"trial {number}", self._process_tags | run_tags)

    @contextmanager
    def open_seed(self, run: RunWriter, config: RunConfig) -> Iterator[RunWriter]:
        """Create a run below a trial's run for the training with one seed.

        If an exception ends the block, the run ends as the trial does.
        """
        run_tags = {tags.KIND: run_kinds.SEED, tags.SEED: str(config.seed), tags.TRIAL_STATE: "running"}
        seed_run = self.writer.create_child(run, f"seed {config.seed}", self._process_tags | run_tags)
        try:
            with interruption.restored():
                self.log_config(seed_run, config)
                yield seed_run
        except optuna.TrialPruned as pruned:
            self.end_pruned(seed_run, str(pruned))
            raise
        except Exception as error:
            self.end_failed(seed_run, format_error(error))
            raise
        except BaseException as error:
            self.end_lost(seed_run, format_error(error))
            raise

    def log_config(self, run: RunWriter, config: RunConfig) -> None:
        """Log the configuration, as for every run."""
        run.log_params(compared_text(config))
        run.log_text(json.dumps(config.flat_redacted(), indent=1), "config.json")

    def log_epoch(self, run: RunWriter, epoch: Epoch) -> None:
        """Log the metrics of an epoch."""
        run.log_metrics(epoch.metrics, epoch.number, epoch.timestamp)

    def end_complete(self, run: RunWriter, metrics: Mapping[str, float], step: int) -> None:
        """Log the final metrics of a training that came to its end, and end its run."""
        run.log_metrics(_restate_best(metrics, step), step, now())
        _end(run, "FINISHED", "complete", "")

    def end_pruned(self, run: RunWriter | None, reason: str) -> None:
        """End the run of a trial that the pruner stopped: as KILLED, so that nobody takes it for finished."""
        _end(run, "KILLED", "pruned", reason)

    def end_failed(self, run: RunWriter | None, reason: str) -> None:
        """End the run of a trial that failed."""
        _end(run, "FAILED", "failed", reason)

    def end_lost(self, run: RunWriter | None, reason: str) -> None:
        """End the run of a trial that does not count."""
        _end(run, "KILLED", "lost", reason)


def close_orphans(study: Study, tracker: Tracker) -> None:
    """End the runs below a study's run whose process died before it ended them.

    Those that the store does not have yet, or all while it does not answer, are left to the next call.
    """
    if tracker.error is not None:
        return
    trials = {str(trial.number): trial for trial in study.trials()}
    with suppress(*STORE_ERRORS, TrackingError):
        closed = [tracker.get_run(trial.user_attrs[RUN_ID]).info.run_id for trial in study.lost_trials()
                  if RUN_ID in trial.user_attrs]  # fmt: skip
        for run in tracker.find_running_children(study.parent_run or ""):
            trial = trials.get(run.data.tags.get(tags.TRIAL))
            if trial is None or trial.state != TrialState.RUNNING:
                close_orphan(tracker.amend(run), trial)
                closed.append(run.info.run_id)
        for run_id in dict.fromkeys(closed):  # the runs below them are those of seeds, or of the phases of a winner
            for run in tracker.find_running_children(run_id):
                close_orphan(tracker.amend(run), None)


def close_orphan(run: RunWriter, trial: FrozenTrial | None) -> None:
    """End a run whose process died, in the way in which its trial ended; `trial` is None if it belongs to none."""
    reason = _DIED if trial is None else trial.user_attrs.get(ERROR, "")
    if trial is not None and trial.state == TrialState.COMPLETE:
        step = trial.last_step or 0
        run.log_metrics(_restate_best(trial.user_attrs.get(METRICS, {}), step), step, now())
        _end(run, "FINISHED", "complete", "")
    elif trial is not None and trial.state == TrialState.PRUNED:
        _end(run, "KILLED", "pruned", f"Pruned after epoch {trial.last_step}.")
    elif trial is not None and reason:
        _end(run, "FAILED", "failed", reason)
    else:
        _end(run, "KILLED", "lost", _DIED + (" The trial is run again." if trial else ""))


def _restate_best(metrics: Mapping[str, float], last_epoch: int) -> dict[str, float]:
    """Return metrics with those of the best epoch, unless that is the last, also by the names of validation metrics.

    A list of runs shows the latest value of a metric: the run shows under the objective's name what the study judges
    the trial by, and not what its last epoch had.
    """
    if metrics.get("best/epoch") == last_epoch:
        return dict(metrics)
    names = (name for name in EPOCH_METRICS if name.startswith("val/"))
    best = {name: metrics[best_metric_name(name)] for name in names if best_metric_name(name) in metrics}
    return {**metrics, **best}


def _end(run: RunWriter | None, status: str, state: str, reason: str) -> None:
    """End a run, if there is one, with its state and the reason as tags."""
    if run is None:
        return
    run.set_tags({tags.TRIAL_STATE: state} | ({tags.ERROR: reason, tags.NOTE: reason} if reason else {}))
    run.end(status)
