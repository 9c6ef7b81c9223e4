"""Send the entries of a journal to a store, so that the store ends the same however often they are sent.

A run or model is found by its key, which is one of its tags, before it is created. Points of metrics keep their
timestamps, by which MLflow knows those that it has. A tag of the run says up to which entry of which journal it is
complete, so that a copy of the journal is not sent again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag, Metric, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tinybench.tracking import experiments, store, tags
from tinybench.tracking.journal import batch_logging, model_replay
from tinybench.tracking.journal.entry_file import Entry
from tinybench.tracking.journal.journal import Journal, LostFileError
from tinybench.tracking.journal.sent_counts import SentCounts
from tinybench.tracking.journal.stored_runs import StoredRuns, WaitError
from tinybench.tracking.run_names import is_generated_name

Progress = Callable[[], None]

_CUT_OFF = set("#?%")
_LOST = "the journal has lost this file. Sync a bundle that has it."
_SAFE_PATH = re.compile(r"(?!/)(?!(?:.*/)?\.\.(?:/|\Z))[^\0]+", re.DOTALL)


class Replay:
    """Sends the entries of one journal in their order.

    Args:
        journal: The journal; it is told which entries are settled.
        client: A client of the store.
        again: Numbers of entries that are sent although the store says that it has them, since it refused them.
        on_progress: Called when entries are settled.

    Attributes:
        counts: The outcome so far.
        runs: The runs that the journal writes to.
    """

    def __init__(
        self,
        journal: Journal,
        client: MlflowClient,
        *,
        again: Collection[int] = (),
        on_progress: Progress | None = None,
    ) -> None:
        self._on_progress = on_progress
        self.journal = journal
        self.client = client
        self.counts = SentCounts()
        self.runs = StoredRuns(journal, client, again)
        self._unmarked: dict[str, int] = {}  # numbers of entries that no mark covers yet, by run id
        self._refused: dict[int, str] = {}
        self._refused_runs: dict[str, bool] = {}
        self._latest: dict[tuple[str, str], int] = {}  # number of the last entry of an artifact, by run and path

    def send(self, entries: Sequence[Entry]) -> None:
        """Send entries; those that are settled before an error stay settled.

        Raises:
            MlflowException, SQLAlchemyError, RequestException, OSError, ValueError: The store does not take them now.
            WaitError: An entry refers to a run that is not in the store yet.
        """
        self._latest = {(entry["run"], entry["path"]): entry["n"] for entry in entries if entry["do"] == "file"}
        for batch in batch_logging.batches([entry for entry in entries if entry["n"] >= self.journal.sent.upto]):
            ids, self._refused = dict(self.runs.ids), {}
            counts = self._send_batch(batch)
            counts.refused = len(self._refused)
            counts.sent = len(batch) - counts.known - counts.refused
            new_ids = {key: run_id for key, run_id in self.runs.ids.items() if ids.get(key) != run_id}
            self.journal.mark_sent(batch[-1]["n"] + 1, new_ids, self._refused)
            self.counts += counts
            if self._on_progress is not None:
                self._on_progress()
        self._mark_runs()

    def _mark_runs(self) -> None:
        """Note in the store, for runs whose last entries were artifacts, that it has these entries."""
        while self._unmarked:
            run_id, number = self._unmarked.popitem()
            try:
                self.client.log_batch(run_id, tags=[RunTag(tags.JOURNAL, self.runs.mark(run_id, number))])
            except store.STORE_ERRORS as error:
                if not store.is_permanent(error):
                    self._unmarked[run_id] = number
                    raise

    def _send_batch(self, batch: list[Entry]) -> SentCounts:
        if batch[0]["do"] not in batch_logging.BATCHED:
            return SentCounts(known=int(self._send_single(batch[0])))
        by_run = defaultdict(list)
        for entry in batch:
            by_run[entry["run"]].append(entry)
        return SentCounts(known=sum(self._send_group(run, group) for run, group in by_run.items()))

    def _send_group(self, run: str, entries: list[Entry]) -> int:
        """Send parameters, metrics and tags of one run, and return how many of the entries were known."""
        run_id = self._resolve_or_refuse(run, entries)
        if run_id is None:
            return 0
        unknown = [entry for entry in entries if not self.runs.is_complete(run_id, entry)]
        if not unknown:
            return len(entries)
        params, metrics, run_tags = self._collect(run_id, unknown)
        if not unknown[-1].get("foreign"):
            run_tags[tags.JOURNAL] = self.runs.mark(run_id, unknown[-1]["n"])
            self._unmarked.pop(run_id, None)
        try:
            batch_logging.log(self.client, run_id, params, metrics, run_tags)
        except store.STORE_ERRORS as error:
            if not store.is_permanent(error):
                raise
            self._send_piecewise(run_id, unknown)
        return len(entries) - len(unknown)

    def _collect(self, run_id: str, entries: list[Entry]) -> tuple[dict[str, str], list[Metric], dict[str, str]]:
        """Return the parameters, metrics and tags of some entries in the form in which they are sent."""
        params: dict[str, str] = {}
        metrics: list[Metric] = []
        run_tags: dict[str, str] = {}
        for entry in entries:
            values = entry["values"]
            if entry["do"] == "params":
                is_rest = entry.get("missing_only")
                params |= batch_logging.select_missing(self.client, run_id, values) if is_rest else values
            elif entry["do"] == "metrics":
                points = [Metric(name, value, entry["at"], entry["step"]) for name, value in values.items()]
                metrics += points if entry.get("foreign") else self.runs.drop_repeated(run_id, points)
            else:
                run_tags |= {name: self.runs.resolve_value(value) for name, value in values.items()}
        return params, metrics, run_tags

    def _send_piecewise(self, run_id: str, entries: list[Entry]) -> None:
        """Send every value by itself, and note the entries of those that the store refuses."""
        for entry in entries:
            reasons = []
            for name, value in entry["values"].items():
                try:
                    batch_logging.log(self.client, run_id, *self._collect(run_id, [entry | {"values": {name: value}}]))
                except store.STORE_ERRORS as error:
                    if not store.is_permanent(error):
                        raise
                    reasons.append(store.describe_error(error))
            if reasons:
                self._refused[entry["n"]] = reasons[0]
        with suppress(MlflowException):  # the run itself may be what is refused, for example since it was deleted
            self.client.log_batch(run_id, tags=[RunTag(tags.JOURNAL, self.runs.mark(run_id, entries[-1]["n"]))])

    def _send_single(self, entry: Entry) -> bool:
        """Send an entry of another kind; return whether the store knew it."""
        try:
            was_known = self._actions[entry["do"]](self, entry)
            if not (was_known or entry.get("foreign") or entry["do"] == "end"):
                self._note_sent(entry, is_lost=False)
            return was_known
        except WaitError as error:
            if entry.get("foreign") and entry["do"] == "end":  # whoever sends the run later, or `repair`, ends it
                return True
            if not (entry.get("foreign") or self._was_refused(entry["run"])):
                raise
            self._refused[entry["n"]] = str(error)
        except store.STORE_ERRORS as error:
            if not store.is_permanent(error):
                raise
            self._refused[entry["n"]] = store.describe_error(error)
            if isinstance(error, LostFileError) and not entry.get("foreign"):
                self._note_sent(entry, is_lost=True)
        return False

    def _note_sent(self, entry: Entry, *, is_lost: bool) -> None:
        """Note that a mark must say that the store has an entry, or all of it but the files that are lost here."""
        run_id = self.runs.resolve(entry["run"])
        self._unmarked[run_id] = max(entry["n"], self._unmarked.get(run_id, -1))
        if entry["do"] in ("file", "model"):
            self.runs.note_file(run_id, entry["n"], is_lost=is_lost)

    def _resolve_or_refuse(self, run: str, entries: list[Entry]) -> str | None:
        """Return the id of a run; None, with a note for each entry, if its creation was refused."""
        try:
            return self.runs.resolve(run)
        except WaitError as error:
            is_foreign = all(entry.get("foreign") for entry in entries)
            if not (is_foreign or self._was_refused(run)):
                raise
            reason = str(error) if is_foreign else f"Run {run} was refused."
            self._refused |= {entry["n"]: reason for entry in entries}
            return None

    def _was_refused(self, run: str) -> bool:
        """Return whether the store refused to create a run of this journal."""
        if not self._refused_runs.get(run):
            refused = {**self.journal.sent.refused, **self._refused}
            created = (entry for entry in self.journal.read()[0] if entry["do"] == "create" and entry["run"] == run)
            self._refused_runs[run] = bool(refused) and any(entry["n"] in refused for entry in created)
        return self._refused_runs[run]

    def _create(self, entry: Entry) -> bool:
        key = entry["run"]
        if key in self.runs.ids:
            if self.runs.are_merged and tags.PARENT_RUN in entry["tags"]:  # its parent may be gone
                parent = self.runs.resolve(entry["tags"][tags.PARENT_RUN])
                self.client.set_tag(self.runs.ids[key], tags.PARENT_RUN, parent)
            return True
        stored = self.runs.find(key, entry)
        if stored is not None:
            self.runs.learn(key, stored)
            return True
        experiment = self.runs.experiment(entry["experiment"])
        run_tags = {name: self.runs.resolve_parent(name, value) for name, value in entry["tags"].items()}
        with store.without_retries():
            created = self.client.create_run(experiment, entry["at"], run_tags | {tags.KEY: key}, entry["name"])
        self.runs.ids[key] = created.info.run_id
        self.runs.experiments[created.info.run_id] = experiment
        self.runs.new.add(created.info.run_id)
        return False

    def _adopt(self, entry: Entry) -> bool:
        """Name a run that `mlflow run` created, unless the user gave it a name."""
        run = self.client.get_run(entry["run"])
        experiments.set_experiment_kind(self.client, run.info.experiment_id)
        if entry["is_given"] or is_generated_name(run.info.run_name):
            self.client.update_run(entry["run"], name=entry["name"])
        return False

    def _restart(self, entry: Entry) -> bool:
        if "id" in entry:
            self.runs.ids.setdefault(entry["run"], entry["id"])
        run_id = self.runs.resolve(entry["run"])
        if self.runs.is_complete(run_id, entry):
            return True
        if "tags" in entry:
            self.client.log_batch(run_id, tags=[RunTag(*item) for item in entry["tags"].items()])
        self.client.update_run(run_id, status="RUNNING")
        if tags.ERROR in self.client.get_run(run_id).data.tags:
            self.client.delete_tag(run_id, tags.ERROR)
        return False

    def _end(self, entry: Entry) -> bool:
        run_id = self.runs.resolve(entry["run"])
        if self.runs.is_complete(run_id, entry):
            return True
        if entry.get("foreign"):
            run = self.client.get_run(run_id)
            heartbeat = run.data.tags.get(tags.HEARTBEAT, "")
            lives_on = heartbeat.isdecimal() and int(heartbeat[:10]) * 1000 > entry["at"]
            if lives_on or run.info.status != "RUNNING":  # ended or resumed since
                return True
            if "reason" in entry:
                self.client.set_tag(run_id, tags.ERROR, entry["reason"])
        self.client.set_terminated(run_id, entry["status"], entry["at"])
        self._unmarked.pop(run_id, None)
        if not entry.get("foreign"):
            self.client.log_batch(run_id, tags=[RunTag(tags.JOURNAL, self.runs.mark(run_id, entry["n"]))])
        return False

    def _log_dataset(self, entry: Entry) -> bool:
        run_id = self.runs.resolve(entry["run"])
        if self.runs.is_complete(run_id, entry):
            return True
        context = [InputTag(tags.DATASET_CONTEXT, "training")]
        dataset = DatasetInput(dataset=MlflowDataset.from_dictionary(entry["dataset"]), tags=context)
        experiments.retry_on_conflict(lambda: self.client.log_inputs(run_id, [dataset]))
        return False

    def _log_file(self, entry: Entry) -> bool:
        run_id = self.runs.resolve(entry["run"])
        if self.runs.is_complete(run_id, entry):
            return True
        if self._is_replaced(entry):
            return True
        if _CUT_OFF & set(entry["path"]):
            location = self.client.get_run(run_id).info.artifact_uri
            if location.startswith(("mlflow-artifacts:", "http")):  # MLflow's HTTP client would cut the name
                raise FileNotFoundError(f"MLflow's server stores no file with #, ? or % in its name: {entry['path']}")
        folder, _, name = entry["path"].rpartition("/")
        with self.journal.temporary_folder() as temporary:
            file = temporary / name
            try:
                self._link(entry, file)
            except LostFileError:
                if self._is_replaced(entry):  # meanwhile
                    return True
                raise
            self.client.log_artifact(run_id, str(file), folder or None)
        return False

    def _link(self, described: Entry, target: Path) -> None:
        """Put a file of an entry at a path below a temporary folder."""
        if not _SAFE_PATH.fullmatch(described["path"]):
            raise FileNotFoundError(f"{described['path']!r} is no path of an artifact")
        try:
            self.journal.link_file(described["sha256"], target)
        except LostFileError:
            raise LostFileError(f"{described['path']}: {_LOST}") from None

    def _is_replaced(self, entry: Entry) -> bool:
        """Return whether a later entry replaces an artifact, whose file may be gone from the journal."""
        artifact = (entry["run"], entry["path"])
        if self._latest[artifact] == entry["n"] and not self.journal.has_file(entry["sha256"]):
            entries = self.journal.read()[0]
            self._latest |= {(item["run"], item["path"]): item["n"] for item in entries if item["do"] == "file"}
        return bool(self._latest[artifact] > entry["n"])

    def _log_model(self, entry: Entry) -> bool:
        run_id = self.runs.resolve(entry["run"])
        if self.runs.is_complete(run_id, entry):
            return True
        with self.journal.temporary_folder() as temporary:
            folder = temporary / "model"
            for file in entry["files"]:
                self._link(file, folder / file["path"])
            model_id, was_known = model_replay.send_model(self.client, run_id, entry, folder)
        self.runs.ids[entry["key"]] = model_id
        self.client.set_tag(run_id, tags.MODEL_URI, f"models:/{model_id}")
        return was_known

    _actions: ClassVar[dict[str, Callable[[Replay, Entry], bool]]] = {
        "create": _create,
        "adopt": _adopt,
        "restart": _restart,
        "end": _end,
        "dataset": _log_dataset,
        "file": _log_file,
        "model": _log_model,
    }

    def merge_duplicates(self) -> bool:
        """Merge runs that another sender of a copy of this journal created at the same moment.

        Of the runs with the same key the one with the smallest id stays, and everything is sent to it again.

        Returns:
            True if there were such runs; the journal then begins anew and must be sent again.
        """
        if not self.runs.merge_duplicates():
            return False
        self.journal.restart_sending(self.runs.ids)
        return True
