"""Choose the run to promote: the best finished one by a metric of the validation images.

Metrics of the test images choose nothing: they judge the chosen run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.suggestion import suggest
from tinybench.data.load_request import is_named, short_name
from tinybench.tracking import queries, references, tags

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.tracker import Tracker

METRICS = {"accuracy": 1, "top5": 1, "loss": -1}
"""Metrics of the validation images; 1 if more is better, -1 if less is."""


_TASK_SETTINGS = ("data.classes", "data.labels", "data.test_per_class", "data.test", "dataset")
"""Settings on which the test images depend."""


@dataclass(frozen=True)
class CandidateQuery:
    """The conditions that a candidate must meet.

    Attributes:
        run_id: This run; all other attributes are then ignored.
        metric: One of `METRICS`, by which the best run is chosen.
        model: The setting `model`; None for any.
        dataset: The setting `dataset`, or the name of a folder of images without its path; None for any, as long as
            all runs have the same.
        recipe: The recipe's name; None for any.
        search: A condition in MLflow's filter language, such as `tags.team = 'x'`.
    """

    run_id: str | None = None
    metric: str = "accuracy"
    model: str | None = None
    dataset: str | None = None
    recipe: str | None = None
    search: str = ""

    @property
    def metric_name(self) -> str:
        """The full name of the metric in a run."""
        return f"best/val_{self.metric}"


@dataclass(frozen=True)
class Candidate:
    """A run that may be promoted.

    Attributes:
        run_id: Its id.
        dataset: The data set that it was trained on.
        selection: How it was chosen, for people.
    """

    run_id: str
    dataset: str
    selection: str


def find_runs(tracker: Tracker, query: CandidateQuery) -> list[MlflowRun]:
    """Return the runs that meet the conditions; at least one.

    Raises:
        ConfigError: The metric is unknown, or MLflow does not understand the filter.
        TrackingError: There is no such run, or the run that is named has not finished.
    """
    if query.metric not in METRICS:
        raise ConfigError(
            f"Invalid value for `--metric`: expected one of {', '.join(METRICS)}, of validation images, got "
            f"{query.metric!r}.{suggest(query.metric, METRICS)} Test images judge a candidate; they do not choose it."
        )
    if query.run_id is not None:
        return [_get_finished_run(tracker, query.run_id)]
    all_runs = list(queries.find_model_runs(tracker, query.search))
    runs = [run for run in all_runs if query.metric_name in run.data.metrics and _matches(run, query)]
    if not runs:
        near = _suggest_filter(query, all_runs)
        raise TrackingError(
            f"No finished run {_describe(query)}: train one, or check the filters and the store (--uri).{near}"
        )
    return runs


def common_dataset(runs: Sequence[MlflowRun]) -> str:
    """Return the data set that all runs were trained on.

    Raises:
        ConfigError: There are several data sets.
    """
    datasets = sorted({queries.param(run, "dataset") for run in runs})
    content = {(short_name(queries.param(run, "dataset")), run.data.tags.get(tags.DATA_FINGERPRINT)) for run in runs}
    if len(datasets) > 1 and len(content) > 1:  # else one folder that lies in several places
        raise ConfigError(f"There are runs on {', '.join(datasets)}: choose by --dataset.")
    return datasets[0]


def choose(
    runs: Sequence[MlflowRun],
    query: CandidateQuery,
    test_hash: str | None = None,
    rolled_back: Collection[str] = (),
) -> Candidate:
    """Choose the run with the best metric; of equal ones the newest.

    Args:
        runs: The result of `find_runs`.
        query: The conditions.
        test_hash: The hash of the champion's test images; a run that was tested on others is not chosen, because it
            would be refused. None if there is no champion: all runs must have the same test images then.
        rolled_back: Ids of runs that were rolled back; they are promoted again only if they are named by their id.

    Raises:
        ConfigError: The runs have several data sets, or were tested on different images.
        TrackingError: No run has these test images, or all were rolled back.
    """
    if query.run_id is not None:
        (run,) = runs
        parent_note = "" if run.info.run_id == query.run_id else f", as the run that {query.run_id} is a part of"
        return Candidate(run.info.run_id, common_dataset(runs), f"given by its id{parent_note}")
    comparable = [run for run in runs if test_hash in (None, run.data.tags.get(tags.TEST_HASH))]
    if not comparable:
        raise TrackingError(
            f"None of the {len(runs)} finished runs {_describe(query)} has the champion's test images: train one on "
            "the champion's data, or begin another registered model by --name."
        )
    eligible = [run for run in comparable if run.info.run_id not in rolled_back]
    if not eligible:
        raise TrackingError(f"Every run {_describe(query)} was rolled back: give its id to promote one again.")
    if test_hash is None:
        _check_same_test_images(eligible, query)
    best = _best(eligible, query)
    selection = f"{query.metric_name} {best.data.metrics[query.metric_name]:.4f}, the best of {len(eligible)} runs"
    splits = len({run.data.tags.get(tags.SPLIT_HASH) for run in eligible})
    if splits > 1:
        selection += f", measured on {splits} different validation splits"
    if len(comparable) < len(runs):
        excluded = len(runs) - len(comparable)
        selection += f"; excluded because they were tested on other images than the champion: {excluded}"
    if len(eligible) < len(comparable):
        selection += f"; excluded because they were rolled back: {len(comparable) - len(eligible)}"
    return Candidate(best.info.run_id, common_dataset(eligible), selection)


def _check_same_test_images(runs: Sequence[MlflowRun], query: CandidateQuery) -> None:
    """Raise unless all runs were tested on the same images: figures of different tasks cannot be ranked.

    Raises:
        ConfigError: They were not; the message has a filter for each group of runs.
    """
    groups: dict[str, list[MlflowRun]] = {}
    for run in runs:
        groups.setdefault(run.data.tags.get(tags.TEST_HASH, ""), []).append(run)
    if len(groups) == 1:
        return
    key = next((key for key in _TASK_SETTINGS if _tells_apart(groups.values(), key)), None)
    choices = []
    for test_hash, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        best = _best(members, query)
        condition = f'params.`{key}` = "{best.data.params[key]}"' if key else f'tags.`{tags.TEST_HASH}` = "{test_hash}"'
        count = "1 run" if len(members) == 1 else f"{len(members)} runs"
        choices.append(f"--filter '{condition}' ({count}, best {best.info.run_id})")
    raise ConfigError(
        f"The {len(runs)} finished runs {_describe(query)} were tested on different images, so that they cannot be "
        f"ranked. Choose by {' or '.join(choices)}, or give the id of a run."
    )


def _tells_apart(groups: Collection[Sequence[MlflowRun]], key: str) -> bool:
    """Return whether every group of runs has one value of a setting, and no two groups the same."""
    values = [{run.data.params.get(key) for run in group} for group in groups]
    return all(len(each) == 1 and None not in each for each in values) and len(set().union(*values)) == len(values)


def _best(runs: Sequence[MlflowRun], query: CandidateQuery) -> MlflowRun:
    """Return the run with the best metric; of equal ones the newest."""
    return max(runs, key=lambda run: (_score(run, query), run.info.start_time))


def _get_finished_run(tracker: Tracker, run_id: str) -> MlflowRun:
    run = tracker.find_top_run(references.find_run_id(tracker, run_id))
    if run.info.lifecycle_stage != "active":
        raise TrackingError(f"Run {run.info.run_id} is deleted: restore it first.")
    if run.info.status != "FINISHED":
        raise TrackingError(f"Run {run.info.run_id} is {run.info.status}: only a finished run can be promoted.")
    return run


def _score(run: MlflowRun, query: CandidateQuery) -> float:
    return METRICS[query.metric] * float(run.data.metrics[query.metric_name])


def _matches(run: MlflowRun, query: CandidateQuery) -> bool:
    dataset = queries.param(run, "dataset")
    return (
        query.model in (None, queries.param(run, "model"))
        and (query.dataset is None or is_named(dataset, query.dataset))
        and query.recipe in (None, queries.param(run, "recipe"))
    )


def _suggest_filter(query: CandidateQuery, runs: Sequence[MlflowRun]) -> str:
    """Return the model, data set or recipe of a run that was meant, if one that no run has was given."""
    for key in ("model", "dataset", "recipe"):
        value, known = getattr(query, key), {short_name(queries.param(run, key)) for run in runs}
        if value is not None and short_name(value) not in known:
            return suggest(value, sorted(known))
    return ""


def _describe(query: CandidateQuery) -> str:
    return ", ".join(_describe_filters(query)) or "that logged a model"


def _describe_filters(query: CandidateQuery) -> Iterator[str]:
    for key, value in (("model", query.model), ("data set", query.dataset), ("recipe", query.recipe)):
        if value is not None:
            yield f"with {key} {value}"
    if query.search:
        yield f"that {query.search} finds"
