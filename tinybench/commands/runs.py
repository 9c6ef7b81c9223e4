"""List the runs of a store, and those that can be resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from tinybench.data.load_request import is_named, short_name
from tinybench.tracking import dead_runs, queries, run_kinds, tags
from tinybench.tracking.journal.journal import is_key
from tinybench.tracking.references import BEST_METRIC
from tinybench.tracking.run_reader import key_of
from tinybench.tracking.tracker import Tracker
from tinybench.training import run_directory

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

DIED = "died"
"""The status of a run that is marked RUNNING although its process is gone."""
_PART_KINDS = (run_kinds.PHASE, run_kinds.FOLD, run_kinds.TRIAL, run_kinds.SEED)
_CHECKED = 5000  # newest runs, among which the asked-for ones are looked for


@dataclass(frozen=True)
class ListedRun:
    """A run of a list.

    Attributes:
        run_id: Its id.
        name: Its name.
        kind: What kind of run it is, see `run_kinds`.
        status: `running`, `finished`, `failed`, `killed` or `died`.
        model: The model.
        dataset: The short name of the data set.
        epoch: The last epoch that was logged; None if there is none.
        val_accuracy: The accuracy on the validation images, of the best epoch; of a run that has not ended, of the
            last one; None if it is not known.
        test_accuracy: The accuracy on the test images; None if it is not known.
        started: When it began, in milliseconds since 1970.
        seconds: How long it took, or has taken so far; None if that is not known.
        error: Why it did not finish; empty if it did, or has not ended.
        resumable: Whether `tinybench resume` can go on with it on this machine.
        is_sent: Whether the store has the run.
    """

    run_id: str
    name: str
    kind: str
    status: str
    model: str
    dataset: str
    epoch: int | None
    val_accuracy: float | None
    test_accuracy: float | None
    started: int
    seconds: float | None
    error: str
    resumable: bool
    is_sent: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the run as values for JSON."""
        return asdict(self)


def list_runs(
    uri: str | None = None,
    *,
    search: str = "",
    dataset: str | None = None,
    model: str | None = None,
    limit: int = 20,
    best: bool = False,
    interrupted: bool = False,
    include_parts: bool = False,
) -> list[ListedRun]:
    """Return the runs of a store, the newest first.

    Args:
        uri: The tracking store; MLflow's default if None.
        search: A condition in MLflow's filter language.
        dataset: Only runs on this data set, by its name or its short name.
        model: Only runs of this model.
        limit: The largest number of runs.
        best: Whether finished runs come in the order of their accuracy on the validation images, by data set: those of
            different images cannot be ranked.
        interrupted: Whether to list only runs that did not finish and can be resumed.
        include_parts: Whether to list also the runs of phases, folds, trials and seeds.

    Raises:
        ConfigError: MLflow does not understand the condition.
        TrackingError: The store cannot be reached.
    """
    tracker = Tracker.at(uri, may_be_away=True)
    runs = islice(queries.find_runs(tracker, search), _CHECKED)
    listed = (
        _describe(run)
        for run in runs
        if (include_parts or run_kinds.kind_of(run.data.tags) not in _PART_KINDS)
        and model in (None, queries.param(run, "model"))
        and (dataset is None or is_named(queries.param(run, "dataset"), dataset))
    )
    if interrupted:
        listed = (run for run in listed if run.resumable)
    if best:
        ranked = [run for run in listed if run.status == "finished" and run.val_accuracy is not None]
        return sorted(ranked, key=lambda run: (run.dataset, -(run.val_accuracy or 0.0)))[:limit]
    return [*islice(listed, limit)]


def _describe(run: MlflowRun) -> ListedRun:
    dead = dead_runs.judge_run(run) if run.info.status == "RUNNING" else None
    status = DIED if dead else run.info.status.lower()
    ended = dead.ended_at if dead else run.info.end_time or _latest(run.data._metric_objs)
    epochs = [point.step for point in run.data._metric_objs if point.key == "train/loss"]
    metrics, is_finished = run.data.metrics, status == "finished"
    return ListedRun(
        run_id=run.info.run_id,
        name=run.info.run_name,
        kind=run_kinds.kind_of(run.data.tags),
        status=status,
        model=queries.param(run, "model"),
        dataset=_short_dataset(run),
        epoch=max(epochs, default=None),
        # What is best, and the test images, are of the last phase that ended: not of this epoch
        val_accuracy=_first(metrics, *([BEST_METRIC] if is_finished else []), "val/accuracy"),
        test_accuracy=_first(metrics, "test/accuracy") if is_finished else None,
        started=run.info.start_time,
        seconds=(ended - run.info.start_time) / 1000 if ended else None,
        error=dead.reason if dead else run.data.tags.get(tags.ERROR, ""),
        resumable=status in ("failed", "killed", DIED) and is_resumable(run),
        is_sent=not is_key(run.info.run_id),
    )


def is_resumable(run: MlflowRun) -> bool:
    """Return whether `tinybench resume` can go on with a run here: it is no part of another, and has checkpoints."""
    if run_kinds.kind_of(run.data.tags) not in (run_kinds.TRAINING, run_kinds.OTHER):  # ended before it had tags
        return False
    return run_directory.can_resume(key_of(run)) or run.data.params.get("track.checkpoints") == "remote"


def _short_dataset(run: MlflowRun) -> str:
    dataset = queries.param(run, "dataset")
    return short_name(dataset) if dataset else ""


def _first(metrics: Mapping[str, float], *names: str) -> float | None:
    return next((metrics[name] for name in names if name in metrics), None)


def _latest(points: Iterable[Any]) -> int | None:
    return max((point.timestamp for point in points), default=None)
