"""Compare finished runs by their stored predictions of the test images; no model is loaded.

Runs that differ only in the seed are runs of one model. If there are such runs, models are compared instead of runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinybench.config.effects import compared_text
from tinybench.config.run_config import RunConfig, replace
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.suggestion import suggest
from tinybench.data.load_request import short_name
from tinybench.evaluation import comparison
from tinybench.evaluation.comparison import Comparison, RunGroup
from tinybench.evaluation.metrics import COUNT_METRICS
from tinybench.evaluation.predictions import Predictions
from tinybench.job import description
from tinybench.tracking import queries, references, run_record, stored_predictions, tags
from tinybench.tracking.tracker import Tracker

METRICS = ("accuracy", "top5", "auc_ovr_macro", "log_loss", "brier", *COUNT_METRICS)

_MAX_SETTINGS = 4  # in the name of a group


def compare_runs(run_ids: Sequence[str], *, metric: str = "accuracy", uri: str | None = None) -> Comparison:
    """Compare runs, or phases of runs, by a metric on their test images.

    Args:
        run_ids: At least two runs, each by what `references.find_run_id` takes.
        metric: One of `METRICS`.
        uri: The tracking store; MLflow's default if None.

    Raises:
        ConfigError: There are fewer than two different runs, one model has two runs with the same seed, or the metric
            is unknown.
        TrackingError: A run does not exist or stored no predictions, or the test images of two runs differ.
    """
    if metric not in METRICS:
        raise ConfigError(
            f"Invalid value for `metric`: expected one of {', '.join(METRICS)}, got {metric!r}."
            + suggest(metric, METRICS)
        )
    if isinstance(run_ids, str):
        raise ConfigError(f"Invalid value for `run_ids`: expected a list of at least two runs, got {run_ids!r}.")
    tracker = Tracker.at(uri)
    phases = {}  # by run id; empty for a run that is not a phase
    run_ids = [references.find_run_id(tracker, reference) for reference in run_ids]
    for run in map(tracker.get_run, dict.fromkeys(run_ids)):
        phases[run.info.run_id] = run.data.tags.get(tags.PHASE, "")
    if len(phases) < 2:
        raise ConfigError("Give at least two different runs to compare.")
    _check_different_models(tracker, phases)
    configs = {run_id: run_record.read_config(tracker, tracker.find_top_run(run_id)) for run_id in phases}
    _check_same_test_images(tracker, phases)
    groups = _group_by_model(phases, configs)
    differing = _find_differing_settings([configs[members[0]] for members in groups])
    run_groups = [
        RunGroup(
            _name_group(configs[members[0]], phases[members[0]], members, differing),
            tuple(_read_test_predictions(tracker, run_id) for run_id in members),
            _check_seeds(members, configs),
        )
        for members in groups
    ]
    try:
        return comparison.compare(run_groups, metric)
    except ValueError as error:
        raise TrackingError(f"These runs cannot be compared: {error}") from error


def _check_different_models(tracker: Tracker, run_ids: Iterable[str]) -> None:
    """Raise ConfigError if two ids stand for one model, as those of a run and of its last phase do."""
    by_model: dict[str, str] = {}
    for run_id in run_ids:
        earlier = by_model.setdefault(run_record.find_final_run(tracker, run_id).info.run_id, run_id)
        if earlier != run_id:
            raise ConfigError(f"Runs {earlier} and {run_id} are one model: a run stands for its last phase.")


def _check_same_test_images(tracker: Tracker, run_ids: Iterable[str]) -> None:
    """Raise TrackingError unless all runs may have the same test images, whatever else they were trained on."""
    runs = {run_id: tracker.find_top_run(run_id) for run_id in run_ids}
    run_tags = {run_id: run.data.tags for run_id, run in runs.items()}
    first = next(iter(run_tags))
    for second in run_tags:
        if not any(run_tags[first].get(tag, "") == run_tags[second].get(tag) for tag in tags.SAME_TEST_IMAGES):
            used = " and ".join(short_name(queries.param(runs[run_id], "dataset")) for run_id in (first, second))
            raise TrackingError(
                f"Runs {first} and {second} were tested on different images ({used}): compare runs on the same ones."
            )


def _group_by_model(phases: dict[str, str], configs: dict[str, RunConfig]) -> list[list[str]]:
    """Return the runs of each model: those that differ only in the seed; every run alone if all are of one model."""
    groups: dict[tuple[str, str], list[str]] = {}
    for run_id, phase in phases.items():
        model = replace(configs[run_id], {"seed": 0}).identity()
        groups.setdefault((model, phase), []).append(run_id)
    return [*groups.values()] if len(groups) > 1 else [[run_id] for run_id in phases]


def _check_seeds(run_ids: list[str], configs: dict[str, RunConfig]) -> tuple[int, ...]:
    """Return the seeds of the runs of a model; raise ConfigError if two of them are equal."""
    seeds: list[int] = []
    for run_id in run_ids:
        seed = configs[run_id].seed
        if seed in seeds:
            raise ConfigError(
                f"Runs {run_ids[seeds.index(seed)]} and {run_id} are one model with one seed: give one of them."
            )
        seeds.append(seed)
    return tuple(seeds)


def _read_test_predictions(tracker: Tracker, run_id: str) -> Predictions:
    predictions = stored_predictions.read_predictions(tracker, run_record.find_final_run(tracker, run_id), "test")
    if predictions is None:
        raise TrackingError(
            f"Run {run_id} stored no predictions of test images: give a finished run, or one of its phases."
        )
    return predictions


def _find_differing_settings(configs: Sequence[RunConfig]) -> list[str]:
    """Return the keys of the settings that differ, other than the model, the data set and the seed."""
    texts = [compared_text(config) for config in configs]
    ignored = ("recipe", "model", "dataset", "seed", "track.")
    keys = dict.fromkeys(key for text in texts for key in text)
    return [key for key in keys if not key.startswith(ignored) and len({text.get(key) for text in texts}) > 1]


def _name_group(config: RunConfig, phase: str, run_ids: list[str], differing: list[str]) -> str:
    """Return a name for the runs of a model that is unique in the comparison: model, settings that differ, run ids.

    Args:
        config: The configuration of the first run.
        phase: Their phase; empty for whole runs.
        run_ids: The runs.
        differing: Keys of settings that differ between groups; only the first few are named.
    """
    keys = differing if len(run_ids) > 1 else [*differing[: _MAX_SETTINGS - 1], "seed"]
    texts = config.flat_text()
    settings = "".join(f", {key} {texts[key]}" for key in keys[:_MAX_SETTINGS])
    first = run_ids[0][:8]
    ids = f"{len(run_ids)} seeds, {first} …" if len(run_ids) > 1 else first
    return f"{config.track.run_name or description.run_title(config, phase)}{settings} ({ids})"
