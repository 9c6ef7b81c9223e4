"""Which run is to be judged: the best finished one by a validation figure. Test figures choose nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.tracking import queries
from tinybench.tracking.run_record import TEST_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.tracker import Tracker

METRICS = {"accuracy": 1, "top5": 1, "loss": -1}  # of the validation images; the sign by which more is better


@dataclass(frozen=True)
class CandidateQuery:
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
    metric: str = "accuracy"
    model: str | None = None
    dataset: str | None = None
    recipe: str | None = None
    search: str = ""

    @property
    def metric(self) -> str:
        """The figure, as runs have it."""
        return f"best/val_{self.metric}"


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
    selection: str


def find_runs(tracker: Tracker, wanted: CandidateQuery) -> list[MlflowRun]:
    """The runs that a candidate may be: one or more.

    Raises:
        ConfigError: an unknown figure, or a filter that MLflow does not understand.
        TrackingError: there is none, or the one that is given has not finished.
    """
    if wanted.metric not in METRICS:
        raise ConfigError(
            f"Invalid value for `--metric`: expected one of {', '.join(METRICS)}, of validation images, got "
            f"{wanted.metric!r}. Test images judge a candidate; they do not choose it."
        )
    if wanted.run_id is not None:
        return [_get_finished_run(tracker, wanted.run_id)]
    name = wanted.metric
    runs = [run for run in queries.find_model_runs(tracker, wanted.search) if name in run.data.metrics and _matches(run, wanted)]
    if not runs:
        raise TrackingError(f"No finished run {_words(wanted)}: train one, or check the filters and the store (--uri).")
    return runs


def common_dataset(runs: Sequence[MlflowRun]) -> str:
    """The data set that runs were trained on.

    Raises:
        ConfigError: there are several.
    """
    sets = sorted({queries.param(run, "dataset") for run in runs})
    if len(sets) > 1:
        raise ConfigError(f"There are runs on {', '.join(sets)}: choose by --dataset.")
    return sets[0]


def choose(
    runs: Sequence[MlflowRun], wanted: CandidateQuery, test: str | None = None, withdrawn: Collection[str] = ()
) -> Candidate:
    """The one with the best figure; of equals the newest.

    Args:
        runs: Of `pool`.
        wanted: As it was asked.
        test: Fingerprint of the champion's test images: on others a run that was not asked for by its id could only be
            refused.
        withdrawn: Runs that were rolled back: only a person may promote them again, by their id.

    Raises:
        ConfigError: they are of several data sets.
        TrackingError: none has these test images, or all were rolled back.
    """
    if wanted.run_id is not None:
        (run,) = runs
        part = "" if run.info.run_id == wanted.run_id else f", as the run that {wanted.run_id} is a part of"
        return Candidate(run.info.run_id, common_dataset(runs), f"given by its id{part}")
    comparable = [run for run in runs if test in (None, run.data.tags.get(TEST_TAG))]
    if not comparable:
        raise TrackingError(
            f"None of the {len(runs)} finished runs {_words(wanted)} has the champion's test images: train one on the "
            "champion's data, or begin another registered model by --name."
        )
    left = [run for run in comparable if run.info.run_id not in withdrawn]
    if not left:
        raise TrackingError(f"Every run {_words(wanted)} was rolled back: give its id to promote one again.")
    found = max(left, key=lambda run: (_score(run, wanted), run.info.start_time))
    chosen = f"{wanted.metric} {found.data.metrics[wanted.metric]:.4f}, the best of {len(left)} runs"
    splits = len({run.data.tags.get("data.split_hash") for run in left})
    chosen += f", which {splits} different validation splits judged" if splits > 1 else ""
    others = len(runs) - len(comparable)
    chosen += f"; left out, for they were tested on other images than the champion: {others}" if others else ""
    chosen += (
        f"; left out, for they were rolled back: {len(comparable) - len(left)}" if len(left) < len(comparable) else ""
    )
    return Candidate(found.info.run_id, common_dataset(left), chosen)


def _get_finished_run(tracker: Tracker, run_id: str) -> MlflowRun:
    run = tracker.find_top_run(run_id)
    if run.info.lifecycle_stage != "active":
        raise TrackingError(f"Run {run.info.run_id} is deleted: restore it first.")
    if run.info.status != "FINISHED":
        raise TrackingError(f"Run {run.info.run_id} is {run.info.status}: only a finished run can be promoted.")
    return run


def _score(run: MlflowRun, wanted: CandidateQuery) -> float:
    return METRICS[wanted.metric] * float(run.data.metrics[wanted.metric])


def _matches(run: MlflowRun, wanted: CandidateQuery) -> bool:
    asked = {"model": wanted.model, "dataset": wanted.dataset, "recipe": wanted.recipe}
    return all(value is None or queries.param(run, key) == value for key, value in asked.items())


def _words(wanted: CandidateQuery) -> str:
    return ", ".join(_describe_filters(wanted)) or "that logged a model"


def _describe_filters(wanted: CandidateQuery) -> Iterator[str]:
    for key, value in (("model", wanted.model), ("data set", wanted.dataset), ("recipe", wanted.recipe)):
        if value is not None:
            yield f"with {key} {value}"
    if wanted.search:
        yield f"that {wanted.search} finds"
