"""Name a run, and describe it in the Markdown that the MLflow UI shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.config.effects import compared_text
from tinybench.config.network_size import PUBLISHED_SIZES
from tinybench.core.errors import TinybenchError
from tinybench.core.metric_text import format_metric, is_defined
from tinybench.data.load_request import short_name
from tinybench.recipes.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.results import FoldResult, PhaseResult
    from tinybench.training.progress import Progress

TEST_COLUMNS = {
    "test/accuracy": "top-1",
    "test/top5": "top-5",
    "test/f1_macro": "F1",
    "test/auc_ovr_macro": "AUC",
    "test/loss": "loss",
    "efficiency/training_seconds": "training s",
}
"""Metrics of a phase that tables show, and their headings."""
FOLD_COLUMNS = {
    "out_of_fold/accuracy": "top-1",
    "out_of_fold/top5": "top-5",
    "out_of_fold/f1_macro": "F1",
    "out_of_fold/auc_ovr_macro": "AUC",
    "out_of_fold/loss": "loss",
    "out_of_fold/log_loss": "log loss",
}
"""Metrics of a fold that tables show, and their headings."""

PRETRAINED_WARNING = (
    "Tiny ImageNet's classes are classes of ImageNet: weights pretrained on ImageNet have seen similar images, so "
    "these metrics are too optimistic."
)


_PHASE_FIGURES = (
    "Pictures are in `figures/` of this run's artifacts; the tag `figures.absent` names those that were left out "
    "because they would say nothing."
)
_FEW_IMAGES = 100  # for validation: below, the interval of an accuracy of 0.5 is wider than ± 0.1


_MAX_NAMED_SETTINGS = 5


def run_title(config: RunConfig, phase: str = "") -> str:
    """Return a title for a run, or for one of its phases: the model and the data set."""
    name = f"{config.model_name} on {short_name(config.dataset)}"
    return f"{phase}: {name}" if phase else name


def run_name(config: RunConfig, phase: str = "") -> str:
    """Return the name of a run, or of one of its phases, which is listed below its run.

    That of a run begins with the settings that differ from those of the recipe, since lists of runs cut long names.
    """
    if phase:
        return run_title(config, phase)
    changed = _list_changed_settings(config)[:_MAX_NAMED_SETTINGS]
    return "".join(f"{key} {_shorten_number(value)}, " for key, value in changed) + run_title(config)


def _shorten_number(text: str) -> str:
    """Return a number as text with three significant digits, and any other text as it is."""
    try:
        return text if text.lstrip("-").isdigit() else f"{float(text):.3g}"
    except ValueError:
        return text


def _list_changed_settings(config: RunConfig) -> list[tuple[str, str]]:
    """Return the settings that affect the result and differ from those of the recipe for this model and these data."""
    recipe = None if config.recipe == type(config)().recipe else config.recipe
    try:
        usual = compared_text(resolve(recipe, {"model": config.model, "dataset": config.dataset}))
    except TinybenchError:  # a recipe that there is no longer, or one of the user that is not registered here
        return []
    changed = [
        (key, text)
        for key, text in compared_text(config).items()
        if usual.get(key) != text and key not in ("recipe", "model", "dataset", "device", "engine")
        if not key.startswith("track.")
    ]
    return sorted(changed, key=lambda item: item[0].startswith("data."))  # those of the training first


def describe_run(config: RunConfig, dataset: Dataset, results: dict[str, PhaseResult]) -> str:
    """Return the description of a run, with the test metrics of each phase.

    Args:
        config: The run's configuration.
        dataset: The images.
        results: The results of the phases by name.
    """
    rows = [f"| {phase} | {result.best_epoch} | {_cells(result.metrics)} |" for phase, result in results.items()]
    counts = ", ".join(f"{len(images):,} {split}" for split, images in dataset.splits.items())
    lines = [
        f"**{run_title(config)}**, recipe `{config.recipe}`, seed {config.seed}.",
        "",
        f"| phase | best epoch | {' | '.join(TEST_COLUMNS.values())} |",
        "|---" * (len(TEST_COLUMNS) + 2) + "|",
        *rows,
        "",
        f"Evaluated once per phase on the test images; weights were chosen by {config.monitor}.",
        f"Data: {counts} images, {len(dataset.class_names)} classes, fingerprint `{dataset.fingerprint[:12]}`.",
        *_describe_figures(config, [f"`{run_name(config, phase)}`" for phase in results]),
        *(f"Note: {warning}" for warning in list_warnings(config, dataset)),
    ]
    return "\n".join(lines)


def describe_folds(config: RunConfig, dataset: Dataset, folds: Sequence[FoldResult], summary: dict[str, float]) -> str:
    """Return the description of a run with folds, with the metrics of each fold.

    Args:
        config: The run's configuration.
        dataset: The images.
        folds: The results of the folds.
        summary: The metrics of all folds together.
    """
    names = [name for name in FOLD_COLUMNS if name in folds[0].metrics]
    rows = [f"| {fold.number} | {' | '.join(format_metric(fold.metrics[name]) for name in names)} |" for fold in folds]
    spread = [format_spread(summary, f"folds/{name.partition('/')[2]}") for name in names]
    defined = {heading: summary[name] for name, heading in TEST_COLUMNS.items() if is_defined(summary.get(name))}
    test = ", ".join(f"{heading} {value:.4f}" for heading, value in defined.items())
    lines = [
        f"**{run_title(config)}**, recipe `{config.recipe}`, seed {config.seed}: {len(folds)} stratified folds.",
        "",
        f"| fold | {' | '.join(FOLD_COLUMNS[name] for name in names)} |",
        "|---" * (len(names) + 1) + "|",
        *rows,
        f"| mean ± sd | {' | '.join(spread)} |",
        "",
        "Each fold is evaluated on the images that it held out, which also chose its best epoch.",
        f"Test images, evaluated once by the mean of all folds: {test}; "
        f"top-1 of a single fold {format_spread(summary, 'folds/test_accuracy')}.",
        *_describe_figures(config, []),
        *(f"Note: {warning}" for warning in list_warnings(config, dataset)),
    ]
    return "\n".join(lines)


def format_spread(summary: dict[str, float], name: str) -> str:
    """Return the mean and standard deviation of a metric over folds as text."""
    mean, deviation = format_metric(summary[f"{name}_mean"]), format_metric(summary[f"{name}_sd"])
    return f"{mean} ± {deviation}" if mean and deviation else mean


def describe_phase(
    phase: str, config: RunConfig, progress: Progress, feed: str, metrics: dict[str, float], warning: str = ""
) -> str:
    """Return the description of a phase, with its test metrics.

    Args:
        phase: `scratch`, `transfer` or `finetune`.
        config: The run's configuration.
        progress: The epochs that were trained.
        feed: How the phase was fed, as `FeedDecision.description` says it.
        metrics: The phase's final metrics.
        warning: What a reader of the metrics should know; empty for nothing.
    """
    settings = config.phase_settings(phase)
    trained = {
        "scratch": "all layers trained",
        "transfer": "backbone frozen",
        "finetune": f"unfreezing {config.finetune.unfreeze}",
    }
    return "\n".join(
        [
            f"Phase **{phase}** of {run_title(config)}, {trained[phase]}.",
            f"{len(progress.epochs)} of {settings.epochs} epochs at lr {settings.lr:g}; best: {progress.best_epoch}.",
            f"It {feed}.",
            *([_PHASE_FIGURES] if config.track.pictures else []),
            "",
            f"| {' | '.join(TEST_COLUMNS.values())} |",
            "|---" * len(TEST_COLUMNS) + "|",
            f"| {_cells(metrics)} |",
            *(["", f"Note: {warning}"] if warning else []),
        ]
    )


def _describe_figures(config: RunConfig, phase_runs: Sequence[str]) -> list[str]:
    """Return the line that says where the pictures are.

    Args:
        config: The run's configuration.
        phase_runs: The names of the runs that were evaluated; empty if the run itself was.
    """
    if not config.track.pictures:
        return []
    place = "in `figures/` of"
    evaluated = "confusion matrix, predictions, calibration"
    if not phase_runs:
        return [f"Pictures, among the artifacts {place} this run: classes, samples, curves, {evaluated}."]
    child_runs = f"the child run{'s' if len(phase_runs) > 1 else ''} {' and '.join(phase_runs)}"
    return [
        f"Pictures, among the artifacts: classes, samples and curves {place} this run; {evaluated} and explanations "
        f"{place} {child_runs}."
    ]


def list_warnings(config: RunConfig, dataset: Dataset) -> list[str]:
    """Return what a reader of the metrics should know about the data."""
    warnings = list(dataset.warnings)
    if config.dataset == "tiny-imagenet" and config.weights == "imagenet":
        warnings.append(PRETRAINED_WARNING)
    warnings += warn_of_weights(config)
    if config.model in PUBLISHED_SIZES and config.recipe == type(config)().recipe and config.phases == ("scratch",):
        warnings.append(
            f"{config.model} has no pretrained weights: it is trained from scratch, at {config.image_size} pixels. "
            "--recipe names other settings (tinybench recipes)."
        )
    warnings += [f"{count} exact duplicates across {splits}." for splits, count in dataset.duplicates.items() if count]
    images = len(dataset.validation)
    if images < _FEW_IMAGES and not config.data.folds:
        width = 1.96 * 0.5 / images**0.5
        warnings.append(
            f"With {images} validation images, accuracy moves in steps of {1 / images:.2g}, and its 95 % interval is "
            f"up to ± {width:.2g} wide: smaller differences between settings are chance. More images, "
            "a larger data.validation or data.folds tell more apart."
        )
    return warnings


def warn_of_weights(config: RunConfig) -> list[str]:
    """Return what should be known about weights that are random."""
    if config.weights != "none":
        return []
    if config.has_own_model and "scratch" not in config.phases:
        return [
            f"The weights in {config.model} are not used: weights=none begins with random ones. "
            "--weights file takes those of the file."
        ]
    if "transfer" in config.phases:
        return [
            f"The backbone has random weights (weights=none), and phase transfer freezes it: what the head learns says "
            f"nothing about a pretrained {config.model_name}."
        ]
    return []


def warn_of_guessing(metrics: Mapping[str, float], labels: NDArray[np.integer[Any]]) -> str:
    """Return a warning if a model is no better than guessing; empty if it is, or if that is not known.

    Args:
        metrics: Its metrics on the test images, such as `test/accuracy` and `test/accuracy_low`.
        labels: (n,) classes of the test images.
    """
    if "test/accuracy_low" not in metrics:
        return ""
    commonest = float(np.bincount(labels).max() / len(labels))
    if metrics["test/accuracy_low"] > commonest:
        return ""
    accuracy, low = metrics["test/accuracy"], metrics["test/accuracy_low"]
    if accuracy > commonest:
        return (
            f"It cannot be told from guessing: the 95 % interval of top-1 {accuracy:.4g} begins at {low:.4g}, and the "
            f"most frequent class makes up {commonest:.4g} of the test images. Train longer, or test on more images."
        )
    return (
        f"No better than guessing: top-1 {accuracy:.4g} on the test images, whose most frequent class makes up "
        f"{commonest:.4g} of them. Train longer, change the learning rate, or look at the data."
    )


def _cells(metrics: Mapping[str, float]) -> str:
    """Return the cells of `TEST_COLUMNS` in a Markdown table; a metric that is not defined leaves an empty cell."""
    cells = []
    for name in TEST_COLUMNS:
        digits = 1 if name.startswith("efficiency") else 4
        cells.append(format_metric(metrics.get(name), f".{digits}f"))
    return " | ".join(cells)
