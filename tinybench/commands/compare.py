"""Finished runs against each other, by the answers that they kept: no model is asked again.

Runs that differ in nothing but the seed are runs of one model. Where there are such, models are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinybench.config.run_config import RunConfig, replace
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.evaluation.comparison import Comparison, RunGroup, compare
from tinybench.evaluation.metrics import COUNT_METRICS
from tinybench.job import description
from tinybench.tracking import run_record, tags
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.evaluation.predictions import Predictions

_SETTINGS = 4  # named at most

FIGURES = ("accuracy", "top5", "auc_ovr_macro", "log_loss", "brier", *COUNT_METRICS)


def runs(run_ids: Sequence[str], figure: str = "accuracy", uri: str | None = None) -> Comparison:
    """Compare runs, or phases of runs, by their test images.

    Args:
        run_ids: At least two.
        figure: One of `FIGURES`.
        uri: The store that holds them; MLflow's default when None.

    Raises:
        ConfigError: fewer than two different runs, or an unknown figure.
        TrackingError: a run that is not there or kept no answers, or runs that were tested on other images.
    """
    if figure not in FIGURES:
        raise ConfigError(f"Invalid value for `metric`: expected one of {', '.join(FIGURES)}, got {figure!r}.")
    tracker = Tracker.at(uri)
    found = {run.info.run_id: run for run in map(tracker.get, dict.fromkeys(run_ids))}
    if len(found) < 2:
        raise ConfigError("Give at least two different runs to compare.")
    configs = {run_id: run_record.read_config(tracker, tracker.find_top_run(run_id)) for run_id in found}
    _check_same_data(tracker, found)
    groups: dict[tuple[str, str], list[str]] = {}
    for run_id, run in found.items():
        alike = replace(configs[run_id], {"seed": 0}).identity()
        groups.setdefault((alike, run.data.tags.get(tags.PHASE, "")), []).append(run_id)
    if len(groups) == 1:  # seeds of one model: then of these runs
        groups = {(run_id, phase): [run_id] for (_, phase), members in groups.items() for run_id in members}
    apart = _differing([configs[members[0]] for members in groups.values()])
    sides = [
        RunGroup(
            _name(configs[members[0]], phase, members, apart),
            tuple(_answers(tracker, each) for each in members),
            _seeds(members, configs),
        )
        for (_, phase), members in groups.items()
    ]
    try:
        return compare(sides, figure)
    except ValueError as error:
        raise TrackingError(f"These runs cannot be compared: {error}") from error


def _check_same_data(tracker: Tracker, found: dict[str, MlflowRun]) -> None:
    """Of the same source, or with the same test images in sources that differ in what was trained on."""
    run_tags = {run_id: tracker.find_top_run(run_id).data.tags for run_id in found}
    first = next(iter(run_tags))
    for second in run_tags:
        if not any(run_tags[first].get(tag, "") == run_tags[second].get(tag) for tag in tags.SAME_TEST_IMAGES):
            raise TrackingError(f"Runs {first} and {second} used different data: compare runs on the same test images.")


def _seeds(members: list[str], configs: dict[str, RunConfig]) -> tuple[int, ...]:
    seeds = [configs[each].seed for each in members]
    for place, (member, seed) in enumerate(zip(members, seeds, strict=True)):
        if seed in seeds[:place]:
            raise ConfigError(
                f"Runs {members[seeds.index(seed)]} and {member} are one model with one seed: give one of them."
            )
    return tuple(seeds)


def _answers(tracker: Tracker, run_id: str) -> Predictions:
    found = run_record.read_predictions(tracker, run_record.find_final_run(tracker, run_id), "test")
    if found is None:
        raise TrackingError(f"Run {run_id} kept no answers on test images: give a finished run, or one of its phases.")
    return found


def _differing(configs: Sequence[RunConfig]) -> list[str]:
    """Keys of the settings by which they can be told apart, besides model and data set."""
    words = [config.words() for config in configs]
    ignored = ("recipe", "model", "dataset", "seed", "track.", "data.root")
    return [key for key in words[0] if not key.startswith(ignored) and len({each[key] for each in words}) > 1]


def _name(config: RunConfig, phase: str, members: list[str], apart: list[str]) -> str:
    """What it is, by which settings it differs, and the run; unlike any other in the table."""
    words = config.words()
    if len(members) == 1:
        apart = [*apart[: _SETTINGS - 1], "seed"]
    settings = "".join(f", {key} {words[key]}" for key in apart[:_SETTINGS])
    runs = f"{len(members)} seeds, {members[0][:8]} …" if len(members) > 1 else members[0][:8]
    return f"{config.track.run_name or description.name(config, phase)}{settings} ({runs})"
