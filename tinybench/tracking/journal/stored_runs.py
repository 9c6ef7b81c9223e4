"""The runs of a journal in the store: their ids, their experiments, and how much of the journal each of them has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from mlflow.entities import Metric, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient

from tinybench.core.errors import TrackingError
from tinybench.tracking import tags
from tinybench.tracking.experiments import get_or_create_experiment, list_experiment_ids, set_experiment_kind
from tinybench.tracking.journal.entry_file import Entry
from tinybench.tracking.journal.journal import KEY_PATTERN, Journal, is_key
from tinybench.tracking.journal.marks import Marks
from tinybench.training.progress import EPOCH_METRICS

_STATE = {"tags", "restart", "end"}  # what a later journal of the same run makes outdated


class WaitError(TrackingError):
    """An entry that cannot be sent yet, since the run that it refers to is not in the store."""


class StoredRuns:
    """Finds the runs that a journal writes to.

    Args:
        journal: The journal.
        client: A client of the store.
        again: Numbers of entries that are sent although the store says that it has them, since it refused them.

    Attributes:
        client: The same.
        ids: The ids of runs and models by their keys, as far as they are known.
        experiments: Ids of the experiments by run id.
        new: Ids of the runs that this process created.
        marks: What the store has of the journals of a run, by run id.
        are_merged: Whether runs were merged that several senders had created.
    """

    def __init__(self, journal: Journal, client: MlflowClient, again: Collection[int]) -> None:
        self.client = client
        self.ids: dict[str, str] = dict(journal.sent.ids)
        self.experiments: dict[str, str] = {}
        self.new: set[str] = set()
        self.marks: dict[str, Marks] = {}
        self.are_merged = False
        self._journal_id = journal.id
        self._again = again
        self._stored_epochs: dict[tuple[str, str], dict[int, int]] = {}  # times of epochs, by run and metric
        self._kinds: set[str] = set()  # experiments whose kind is set

    def resolve(self, run: str) -> str:
        """Return the id of a run: for a key, the id that the store gave.

        Raises:
            WaitError: The store has no such run yet.
        """
        if not is_key(run):
            return run
        if run not in self.ids:
            stored = self.find(run)
            if stored is None:
                raise WaitError(f"Run {run} has not been sent yet.")
            self.learn(run, stored)
        return self.ids[run]

    def is_complete(self, run_id: str, entry: Entry) -> bool:
        """Return whether the store says that it has an entry of this journal."""
        if run_id in self.new or entry.get("foreign") or entry["n"] in self._again:
            return False
        if run_id not in self.marks:
            self.learn(entry["run"], self.client.get_run(run_id))
        marks = self.marks[run_id]
        is_outdated = bool(marks.after) and entry["do"] in _STATE
        return bool((entry["n"] <= marks.upto and entry["n"] not in marks.missing) or is_outdated)

    def learn(self, key: str, run: MlflowRun) -> None:
        """Note the id, the experiment and the marks of a run."""
        run_id = run.info.run_id
        self.ids[key] = run_id
        self.experiments[run_id] = run.info.experiment_id
        self.marks[run_id] = Marks.parse(run.data.tags.get(tags.JOURNAL, ""), self._journal_id)

    def forget_marks(self) -> None:
        """Read the marks again before the next entries: while the store was away, others may have resumed a run."""
        self.marks.clear()
        self.new.clear()
        self._stored_epochs.clear()

    def drop_repeated(self, run_id: str, points: Sequence[Metric]) -> list[Metric]:
        """Return points of metrics without those of epochs that another journal of the run has logged.

        A run that is resumed on another machine may train some epochs again that the first one had logged, but not
        sent; what is sent first stays.
        """
        marks = self.marks.get(run_id)
        if marks is None or not (marks.before or marks.after):
            return [*points]
        return [point for point in points if self._is_new(run_id, point)]

    def _is_new(self, run_id: str, point: Metric) -> bool:
        if point.key not in EPOCH_METRICS:
            return True
        metric = (run_id, point.key)
        if metric not in self._stored_epochs:
            history = self.client.get_metric_history(*metric)
            self._stored_epochs[metric] = {stored.step: stored.timestamp for stored in history}
        return bool(self._stored_epochs[metric].get(point.step, point.timestamp) == point.timestamp)

    def note_file(self, run_id: str, number: int, *, is_lost: bool) -> None:
        """Note that the files of an entry are lost here, or that the store has them now."""
        missing = self.marks.setdefault(run_id, Marks()).missing
        if is_lost:
            missing.add(number)
        else:
            missing.discard(number)

    def mark(self, run_id: str, number: int) -> str:
        """Return the tag of a run that has the entries of this journal up to a number."""
        return self.marks.setdefault(run_id, Marks()).text(self._journal_id, number)

    def find(self, key: str, entry: Entry | None = None) -> MlflowRun | None:
        """Return the run of a key; None if the store has none."""
        experiment = self.experiment(entry["experiment"]) if entry else None
        return next(iter(self.find_all(key, experiment)), None)

    def find_all(self, key: str, experiment: str | None) -> list[MlflowRun]:
        """Return the runs of a key: several after two senders created it at once; of any experiment if None."""
        experiments = [experiment] if experiment else list_experiment_ids(self.client)
        query = f"tags.`{tags.KEY}` = '{key}'"
        return list(self.client.search_runs(experiments, query, ViewType.ACTIVE_ONLY, max_results=10))

    def merge_duplicates(self) -> bool:
        """Delete, of the runs with the same key, all but the one with the smallest id; return whether there were any.

        The journal must then be sent again, to the runs that stay.
        """
        changed = {}
        for run_id in sorted(self.new):
            key = next(key for key, stored_id in self.ids.items() if stored_id == run_id)
            same = sorted(run.info.run_id for run in self.find_all(key, self.experiments[run_id]))
            for other_id in same[1:]:
                self.client.delete_run(other_id)
            if len(same) > 1:
                changed[key] = same[0]
        self.new.clear()
        self.ids |= changed
        self.marks |= {run_id: Marks() for run_id in changed.values()}
        self.are_merged |= bool(changed)
        return bool(changed)

    def experiment(self, described: dict[str, str]) -> str:
        """Return the id of an experiment that is given by its name, its id or one of its runs."""
        if "run" in described:
            run_id = self.resolve(described["run"])
            if run_id not in self.experiments:
                self.experiments[run_id] = self.client.get_run(run_id).info.experiment_id
            return self.experiments[run_id]
        if "id" in described:
            experiment_id = described["id"]
        else:
            experiment_id = get_or_create_experiment(self.client, described["name"])
        if experiment_id not in self._kinds:
            set_experiment_kind(self.client, experiment_id)
            self._kinds.add(experiment_id)
        return experiment_id

    def resolve_parent(self, name: str, value: str) -> str:
        """Return the value of a tag; of the one that names the parent run, the id of a run that the store has."""
        return self.resolve(value) if name == tags.PARENT_RUN else self.resolve_value(value)

    def resolve_value(self, value: str) -> str:
        """Return a tag's value; where it is the key of a run that the store has, its id."""
        if KEY_PATTERN.fullmatch(value):
            with suppress(WaitError):
                return self.resolve(value)
        return value
