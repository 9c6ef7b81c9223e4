"""Which run is to be judged: the best finished one by a validation figure. Test figures choose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinybench.errors import ConfigError, TrackingError
from tinybench.tracking import queries

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.tracker import Tracker

FIGURES = {"accuracy": True, "top5": True, "loss": False}  # of the validation images; whether more is better


@dataclass(frozen=True)
class Wanted:
    """What a candidate must be.

    Attributes:
        run_id: This very run; the other attributes are then left alone.
        figure: One of `FIGURES`.
        model: As `--model` was; None for any.
        dataset: As `--dataset` was; None for any, as long as there is one.
        recipe: Its name; None for any.
        search: MLflow's filter, such as `tags.team = 'x'`.
    """

    run_id: str | None = None
    figure: str = "accuracy"
    model: str | None = None
    dataset: str | None = None
    recipe: str | None = None
    search: str = ""


@dataclass(frozen=True)
class Candidate:
    """A run to be judged.

    Attributes:
        run_id: Its id.
        dataset: What it was trained on.
        chosen: How it was found, in words.
    """

    run_id: str
    dataset: str
    chosen: str


def find(tracker: Tracker, wanted: Wanted) -> Candidate:
    """The run that is to be judged.

    Raises:
        ConfigError: an unknown figure, a filter that MLflow does not understand, or several data sets to choose from.
        TrackingError: there is no such run, or it has not finished.
    """
    if wanted.figure not in FIGURES:
        raise ConfigError(
            f"Invalid value for `--metric`: expected one of {', '.join(FIGURES)}, of validation images, got "
            f"{wanted.figure!r}. Test images judge a candidate; they do not choose it."
        )
    if wanted.run_id is not None:
        run = tracker.top(wanted.run_id)
        if run.info.lifecycle_stage != "active":
            raise TrackingError(f"Run {run.info.run_id} is deleted: restore it first.")
        if run.info.status != "FINISHED":
            raise TrackingError(f"Run {run.info.run_id} is {run.info.status}: only a finished run can be promoted.")
        return Candidate(run.info.run_id, queries.param(run, "dataset"), "given by its id")
    name = f"best/val_{wanted.figure}"
    runs = [run for run in queries.whole(tracker, wanted.search) if name in run.data.metrics and _fits(run, wanted)]
    if not runs:
        raise TrackingError(f"No finished run {_words(wanted)}: train one, or check the filters and the store (--uri).")
    sets = sorted({queries.param(run, "dataset") for run in runs})
    if len(sets) > 1:
        raise ConfigError(f"There are runs on {', '.join(sets)}: choose by --dataset.")
    sign = 1 if FIGURES[wanted.figure] else -1
    best = max(runs, key=lambda run: (sign * run.data.metrics[name], run.info.start_time))
    splits = len({run.data.tags.get("data.split_hash") for run in runs})
    chosen = f"{name} {best.data.metrics[name]:.4f}, the best of {len(runs)} runs"
    chosen += f", which {splits} different validation splits judged" if splits > 1 else ""
    return Candidate(best.info.run_id, sets[0], chosen)


def _fits(run: MlflowRun, wanted: Wanted) -> bool:
    asked = {"model": wanted.model, "dataset": wanted.dataset, "recipe": wanted.recipe}
    return all(value is None or queries.param(run, key) == value for key, value in asked.items())


def _words(wanted: Wanted) -> str:
    return ", ".join(_asked(wanted)) or "that logged a model"


def _asked(wanted: Wanted) -> Iterator[str]:
    for key, value in (("model", wanted.model), ("data set", wanted.dataset), ("recipe", wanted.recipe)):
        if value is not None:
            yield f"with {key} {value}"
    if wanted.search:
        yield f"and {wanted.search}"
