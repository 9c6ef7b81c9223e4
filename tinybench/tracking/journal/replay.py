"""Send the entries of a journal to a store, so that the store ends the same however often they are sent.

A run or model is found by its key, which is one of its tags, before it is created. Points of metrics keep their
timestamps, by which MLflow knows those that it has. A tag of the run says up to which entry of which journal it is
complete, so that a copy of the journal is not sent again.
"""

from __future__ import annotations

import gc
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

import tenacity
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.name_utils import _GENERATOR_NOUNS, _GENERATOR_PREDICATES

from tinybench.core.errors import TrackingError
from tinybench.tracking import store, tags
from tinybench.tracking.journal import model_replay
from tinybench.tracking.journal.entry_file import Entry
from tinybench.tracking.journal.journal import KEY_PATTERN, Journal, is_key

Item = TypeVar("Item")

_BATCHED = {"params", "metrics", "tags"}
_STATE = {"tags", "restart", "end"}  # what a later journal of the same run makes outdated
_MAX_BATCH_ENTRIES = 4000
_MAX_METRICS_PER_CALL = 800  # with the others, 1,000 items, which is MLflow's limit
_MAX_PARAMS_PER_CALL = 100
_MAX_TAGS_PER_CALL = 90
_PARALLEL_REQUESTS = 4  # MLflow's server has four processes unless it is told otherwise
_SAFE_PATH = re.compile(r"(?!/)(?!.*(^|/)\.\.(/|$))[^\0]+")


@dataclass
class SentCounts:
    """The outcome of sending entries.

    Attributes:
        sent: Entries that were sent.
        known: Entries that the store had already.
        refused: Entries that the store refused for ever.
    """

    sent: int = 0
    known: int = 0
    refused: int = 0

    def __add__(self, other: SentCounts) -> SentCounts:
        return SentCounts(self.sent + other.sent, self.known + other.known, self.refused + other.refused)

    def __str__(self) -> str:
        return f"{self.sent} sent, {self.known} known already, {self.refused} refused"


@dataclass
class Marks:
    """What the store says of the journals that wrote a run, in the order in which they did.

    A run that is resumed is written by one journal after another. What an earlier one says of the state of the run is
    outdated once a later one has written to it.

    Attributes:
        before: The marks of earlier journals, as `id:number`.
        upto: Number of the last entry of this journal that the store has; -1 for none.
        after: The marks of later journals.
    """

    before: list[str] = field(default_factory=list)
    upto: int = -1
    after: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str, journal_id: str) -> Marks:
        """Return the marks in a tag, as seen from one of the journals."""
        marks = text.split()
        for place, mark in enumerate(marks):
            name, _, number = mark.partition(":")
            if name == journal_id and number.isdigit():
                return cls(marks[:place], int(number), marks[place + 1 :])
        return cls(marks)

    def text(self, journal_id: str, number: int) -> str:
        """Return the tag once the store has the entries of this journal up to a number."""
        return " ".join([*self.before, f"{journal_id}:{max(self.upto, number)}", *self.after])


class WaitError(TrackingError):
    """An entry that cannot be sent yet, since the run that it refers to is not in the store."""


class Replay:
    """Sends the entries of one journal in their order.

    Args:
        journal: The journal; it is told which entries are settled.
        client: A client of the store.
        again: Numbers of entries that are sent although the store says that it has them, since it refused them.

    Attributes:
        counts: The outcome so far.
    """

    def __init__(self, journal: Journal, client: MlflowClient, *, again: Collection[int] = ()) -> None:
        self._again = again
        self.journal = journal
        self.client = client
        self.counts = SentCounts()
        self._ids: dict[str, str] = dict(journal.sent.ids)
        self._experiments: dict[str, str] = {}  # id of the experiment, by run id
        self._marks: dict[str, Marks] = {}  # by run id
        self._unmarked: dict[str, int] = {}  # numbers of entries that no mark covers yet, by run id
        self._is_new: set[str] = set()  # ids of the runs that this process created
        self._refused: dict[int, str] = {}
        self._is_server = client.tracking_uri.startswith("http")
        self._latest: dict[tuple[str, str], int] = {}  # number of the last entry of an artifact, by run and path

    def send(self, entries: Sequence[Entry]) -> None:
        """Send entries; those that are settled before an error stay settled.

        Raises:
            MlflowException, SQLAlchemyError, RequestException, OSError, ValueError: The store does not take them now.
            WaitError: An entry refers to a run that is not in the store yet.
        """
        self._latest = {(entry["run"], entry["path"]): entry["n"] for entry in entries if entry["do"] == "file"}
        for batch in _batches([entry for entry in entries if entry["n"] >= self.journal.sent.upto]):
            ids, self._refused = dict(self._ids), {}
            counts = self._send_batch(batch)
            counts.refused = len(self._refused)
            counts.sent = len(batch) - counts.known - counts.refused
            new_ids = {key: run_id for key, run_id in self._ids.items() if ids.get(key) != run_id}
            self.journal.mark_sent(batch[-1]["n"] + 1, new_ids, self._refused)
            self.counts += counts
        self._mark_runs()

    def _mark_runs(self) -> None:
        """Note in the store, for runs whose last entries were artifacts, that it has these entries."""
        while self._unmarked:
            run_id, number = self._unmarked.popitem()
            try:
                self.client.log_batch(run_id, tags=[RunTag(tags.JOURNAL, self._mark(run_id, number))])
            except store.STORE_ERRORS as error:
                if not store.is_permanent(error):
                    self._unmarked[run_id] = number
                    raise

    def resolve(self, run: str) -> str:
        """Return the id of a run: for a key, the id that the store gave.

        Raises:
            WaitError: The store has no such run yet.
        """
        if not is_key(run):
            return run
        if run not in self._ids:
            found = self._find_run(run)
            if found is None:
                raise WaitError(f"Run {run} has not been sent yet.")
            self._learn_run(run, found)
        return self._ids[run]

    def _send_batch(self, batch: list[Entry]) -> SentCounts:
        if batch[0]["do"] not in _BATCHED:
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
        unknown = [entry for entry in entries if not self._is_known(run_id, entry)]
        if not unknown:
            return len(entries)
        params, metrics, run_tags = self._collect(run_id, unknown)
        if not unknown[-1].get("foreign"):
            run_tags[tags.JOURNAL] = self._mark(run_id, unknown[-1]["n"])
            self._unmarked.pop(run_id, None)
        try:
            self._log(run_id, params, metrics, run_tags)
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
                params |= self._missing_params(run_id, values) if entry.get("missing_only") else values
            elif entry["do"] == "metrics":
                metrics += [Metric(name, value, entry["at"], entry["step"]) for name, value in values.items()]
            else:
                run_tags |= {name: self._resolve_value(value) for name, value in values.items()}
        return params, metrics, run_tags

    def _missing_params(self, run_id: str, values: dict[str, str]) -> dict[str, str]:
        """Return the parameters that a run of `mlflow run` does not have.

        It has its own parameters, as the user wrote them. One that the user did not set has the value `recipe`; what
        the recipe says is then logged as `recipe.<key>`.
        """
        logged = self.client.get_run(run_id).data.params
        renamed = {f"recipe.{key}" if logged.get(key) == "recipe" else key: value for key, value in values.items()}
        return {key: value for key, value in renamed.items() if key not in logged}

    def _log(self, run_id: str, params: dict[str, str], metrics: list[Metric], run_tags: dict[str, str]) -> None:
        """Log in as few calls as MLflow's limits allow; the mark of the journal, among the tags, comes last."""
        mark = run_tags.pop(tags.JOURNAL, None)
        marks = [RunTag(tags.JOURNAL, mark)] if mark else []
        param_list = [Param(key, value) for key, value in params.items()]
        tag_list = [RunTag(key, value) for key, value in run_tags.items()]
        metric_lists = _chunks(metrics, _MAX_METRICS_PER_CALL)
        if len(metric_lists) <= 1 and len(param_list) <= _MAX_PARAMS_PER_CALL and len(tag_list) <= _MAX_TAGS_PER_CALL:
            if metrics or param_list or tag_list or marks:
                self.client.log_batch(run_id, metrics, param_list, tag_list + marks)
            return
        for chunk in _chunks(param_list, _MAX_PARAMS_PER_CALL):
            self.client.log_batch(run_id, params=chunk)
        for tag_chunk in _chunks(tag_list, _MAX_TAGS_PER_CALL):
            self.client.log_batch(run_id, tags=tag_chunk)
        self._log_metric_lists(run_id, metric_lists)
        if marks:
            self.client.log_batch(run_id, tags=marks)

    def _log_metric_lists(self, run_id: str, metric_lists: list[list[Metric]]) -> None:
        """Log many metrics, whose order does not matter: by several requests at a time where the store is a server."""
        if self._is_server:
            with ThreadPoolExecutor(_PARALLEL_REQUESTS) as executor:
                list(executor.map(lambda chunk: self.client.log_batch(run_id, metrics=chunk), metric_lists))
            return
        with _paused_garbage_collection():
            for chunk in metric_lists:
                self.client.log_batch(run_id, metrics=chunk)

    def _send_piecewise(self, run_id: str, entries: list[Entry]) -> None:
        """Send every value by itself, and note the entries of those that the store refuses."""
        for entry in entries:
            reasons = []
            for name, value in entry["values"].items():
                try:
                    self._log(run_id, *self._collect(run_id, [entry | {"values": {name: value}}]))
                except store.STORE_ERRORS as error:
                    if not store.is_permanent(error):
                        raise
                    reasons.append(store.describe_error(error))
            if reasons:
                self._refused[entry["n"]] = reasons[0]
        with suppress(MlflowException):  # the run itself may be what is refused, for example since it was deleted
            self.client.log_batch(run_id, tags=[RunTag(tags.JOURNAL, self._mark(run_id, entries[-1]["n"]))])

    def _send_single(self, entry: Entry) -> bool:
        """Send an entry of another kind; return whether the store knew it."""
        try:
            was_known = self._actions[entry["do"]](self, entry)
            if not (was_known or entry.get("foreign") or entry["do"] == "end"):
                self._unmarked[self.resolve(entry["run"])] = entry["n"]
            return was_known
        except WaitError as error:
            if entry.get("foreign"):  # whoever sends the run later, or `repair`, ends it
                return True
            if not self._was_refused(entry["run"]):
                raise
            self._refused[entry["n"]] = str(error)
        except store.STORE_ERRORS as error:
            if not store.is_permanent(error):
                raise
            self._refused[entry["n"]] = store.describe_error(error)
        return False

    def _resolve_or_refuse(self, run: str, entries: list[Entry]) -> str | None:
        """Return the id of a run; None, with a note for each entry, if its creation was refused."""
        try:
            return self.resolve(run)
        except WaitError:
            if all(entry.get("foreign") for entry in entries):
                return None
            if not self._was_refused(run):
                raise
            self._refused |= {entry["n"]: f"Run {run} was refused." for entry in entries}
            return None

    def _was_refused(self, run: str) -> bool:
        """Return whether the store refused to create a run of this journal."""
        refused = {**self.journal.sent.refused, **self._refused}
        created = (entry for entry in self.journal.read()[0] if entry["do"] == "create" and entry["run"] == run)
        return bool(refused) and any(entry["n"] in refused for entry in created)

    def _create(self, entry: Entry) -> bool:
        key = entry["run"]
        found = self._find_run(key, entry) if key not in self._ids else None
        if key in self._ids or found is not None:
            if found is not None:
                self._learn_run(key, found)
            return True
        experiment = self._experiment(entry["experiment"])
        run_tags = {name: self._resolve_parent(name, value) for name, value in entry["tags"].items()}
        created = self.client.create_run(experiment, entry["at"], run_tags | {tags.KEY: key}, entry["name"])
        self._ids[key] = created.info.run_id
        self._experiments[created.info.run_id] = experiment
        self._is_new.add(created.info.run_id)
        return False

    def _adopt(self, entry: Entry) -> bool:
        """Name a run that `mlflow run` created, unless the user gave it a name."""
        run = self.client.get_run(entry["run"])
        self._set_experiment_kind(run.info.experiment_id)
        if entry["is_given"] or is_generated_name(run.info.run_name):
            self.client.update_run(entry["run"], name=entry["name"])
        return False

    def _restart(self, entry: Entry) -> bool:
        if "id" in entry:
            self._ids.setdefault(entry["run"], entry["id"])
        run_id = self.resolve(entry["run"])
        if self._is_known(run_id, entry):
            return True
        self.client.update_run(run_id, status="RUNNING")
        if tags.ERROR in self.client.get_run(run_id).data.tags:
            self.client.delete_tag(run_id, tags.ERROR)
        return False

    def _end(self, entry: Entry) -> bool:
        run_id = self.resolve(entry["run"])
        if self._is_known(run_id, entry):
            return True
        self.client.set_terminated(run_id, entry["status"], entry["at"])
        self._unmarked.pop(run_id, None)
        if not entry.get("foreign"):
            self.client.log_batch(run_id, tags=[RunTag(tags.JOURNAL, self._mark(run_id, entry["n"]))])
        return False

    def _log_dataset(self, entry: Entry) -> bool:
        run_id = self.resolve(entry["run"])
        if self._is_known(run_id, entry):
            return True
        context = [InputTag(tags.DATASET_CONTEXT, "training")]
        dataset = DatasetInput(dataset=MlflowDataset.from_dictionary(entry["dataset"]), tags=context)
        retry_on_conflict(lambda: self.client.log_inputs(run_id, [dataset]))
        return False

    def _log_file(self, entry: Entry) -> bool:
        run_id = self.resolve(entry["run"])
        if self._is_known(run_id, entry):
            return True
        if self._is_replaced(entry):
            return True
        if not _SAFE_PATH.fullmatch(entry["path"]):
            raise FileNotFoundError(f"{entry['path']!r} is no path of an artifact")
        folder, _, name = entry["path"].rpartition("/")
        with self.journal.temporary_folder() as temporary:
            file = temporary / name
            try:
                self.journal.link_file(entry["sha256"], file)
            except FileNotFoundError:
                if self._is_replaced(entry):  # meanwhile
                    return True
                raise
            self.client.log_artifact(run_id, str(file), folder or None)
        return False

    def _is_replaced(self, entry: Entry) -> bool:
        """Return whether a later entry replaces an artifact, whose file may be gone from the journal."""
        artifact = (entry["run"], entry["path"])
        if self._latest[artifact] == entry["n"] and not self.journal.has_file(entry["sha256"]):
            entries = self.journal.read()[0]
            self._latest |= {(item["run"], item["path"]): item["n"] for item in entries if item["do"] == "file"}
        return bool(self._latest[artifact] > entry["n"])

    def _log_model(self, entry: Entry) -> bool:
        run_id = self.resolve(entry["run"])
        if self._is_known(run_id, entry):
            return True
        with self.journal.temporary_folder() as temporary:
            folder = temporary / "model"
            for file in entry["files"]:
                if not _SAFE_PATH.fullmatch(file["path"]):
                    raise FileNotFoundError(f"{file['path']!r} is no path of a file")
                self.journal.link_file(file["sha256"], folder / file["path"])
            model_id, was_known = model_replay.send_model(self.client, run_id, entry, folder)
        self._ids[entry["key"]] = model_id
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

        Of the runs with the same key the one with the smallest id stays. Whoever finds a second one has sent, or sends
        again, all entries to the run that stays, and deletes the other.

        Returns:
            True if there were such runs; the journal then begins anew and must be sent again.
        """
        changed = {}
        for run_id in sorted(self._is_new):
            key = next(key for key, known in self._ids.items() if known == run_id)
            same = self._find_runs(key, self._experiments[run_id])
            if len(same) < 2:
                continue
            kept, *others = sorted(run.info.run_id for run in same)
            for other in others:
                self.client.delete_run(other)
            changed[key] = kept
        self._is_new.clear()
        if changed:
            self._ids |= changed
            self._marks |= {run_id: Marks() for run_id in changed.values()}
            self.journal.restart_sending(self._ids)
        return bool(changed)

    def _is_known(self, run_id: str, entry: Entry) -> bool:
        """Return whether the store says that it has an entry of this journal."""
        if run_id in self._is_new or entry.get("foreign") or entry["n"] in self._again:
            return False
        if run_id not in self._marks:
            self._learn_run(entry["run"], self.client.get_run(run_id))
        marks = self._marks[run_id]
        is_outdated = bool(marks.after) and entry["do"] in _STATE
        return bool(entry["n"] <= marks.upto or is_outdated)

    def _learn_run(self, key: str, run: MlflowRun) -> None:
        run_id = run.info.run_id
        self._ids[key] = run_id
        self._experiments[run_id] = run.info.experiment_id
        self._marks[run_id] = Marks.parse(run.data.tags.get(tags.JOURNAL, ""), self.journal.id)

    def _mark(self, run_id: str, number: int) -> str:
        return self._marks.setdefault(run_id, Marks()).text(self.journal.id, number)

    def _find_run(self, key: str, entry: Entry | None = None) -> MlflowRun | None:
        """Return the run of a key; None if the store has none."""
        experiment = self._experiment(entry["experiment"]) if entry else None
        return next(iter(self._find_runs(key, experiment)), None)

    def _find_runs(self, key: str, experiment: str | None) -> list[MlflowRun]:
        experiments = [experiment] if experiment else [item.experiment_id for item in self.client.search_experiments()]
        query = f"tags.`{tags.KEY}` = '{key}'"
        return list(self.client.search_runs(experiments, query, ViewType.ACTIVE_ONLY, max_results=10))

    def _experiment(self, described: dict[str, str]) -> str:
        """Return the id of an experiment that is given by its name, its id or one of its runs."""
        if "run" in described:
            run_id = self.resolve(described["run"])
            if run_id not in self._experiments:
                self._experiments[run_id] = self.client.get_run(run_id).info.experiment_id
            return self._experiments[run_id]
        if "id" in described:
            experiment_id = described["id"]
        else:
            experiment_id = get_or_create_experiment(self.client, described["name"])
        self._set_experiment_kind(experiment_id)
        return experiment_id

    def _set_experiment_kind(self, experiment_id: str) -> None:
        """Let the MLflow UI list training runs first; an experiment without a kind is shown as one of prompts."""
        if f"kind of {experiment_id}" in self._experiments:
            return
        if tags.EXPERIMENT_KIND not in self.client.get_experiment(experiment_id).tags:
            kind_tag = (experiment_id, tags.EXPERIMENT_KIND, "custom_model_development")
            retry_on_conflict(lambda: self.client.set_experiment_tag(*kind_tag))
        self._experiments[f"kind of {experiment_id}"] = experiment_id

    def _resolve_parent(self, name: str, value: str) -> str:
        """Return the value of a tag; of the one that names the parent run, the id of a run that the store has."""
        return self.resolve(value) if name == tags.PARENT_RUN else self._resolve_value(value)

    def _resolve_value(self, value: str) -> str:
        """Return a tag's value; where it is the key of a run that the store has, its id."""
        if KEY_PATTERN.fullmatch(value):
            with suppress(WaitError):
                return self.resolve(value)
        return value


def get_or_create_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment with a name, which is created if it does not exist."""
    retry_on_conflict(lambda: client.get_experiment_by_name(name) or client.create_experiment(name))
    return str(client.get_experiment_by_name(name).experiment_id)


@tenacity.retry(
    retry=tenacity.retry_if_exception_message(match=r"(?is).*(UNIQUE constraint|duplicate key|already exists)"),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random(0, 0.2),
    reraise=True,
)
def retry_on_conflict(call: Callable[[], object]) -> None:
    """Call a function again if another process wrote the same row first: MLflow's SQL stores then fail once."""
    call()


def is_generated_name(name: str) -> bool:
    """Return whether MLflow generated a run's name, such as wise-squid-86, because the user gave none."""
    predicate, _, rest = name.partition("-")
    noun, _, number = rest.partition("-")
    return predicate in _GENERATOR_PREDICATES and noun in _GENERATOR_NOUNS and number.isdigit()


def _chunks(items: list[Item], size: int) -> list[list[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


@contextmanager
def _paused_garbage_collection() -> Iterator[None]:
    """Pause Python's garbage collection: the objects of a database's rows would start it over and over."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield the entries in their order: neighbours that can be sent together in one list, others by themselves."""
    batch: list[Entry] = []
    for entry in entries:
        if entry["do"] in _BATCHED and len(batch) < _MAX_BATCH_ENTRIES:
            batch.append(entry)
            continue
        if batch:
            yield batch
        batch = [entry] if entry["do"] in _BATCHED else []
        if not batch:
            yield [entry]
    if batch:
        yield batch
