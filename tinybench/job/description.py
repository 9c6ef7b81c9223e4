"""A run in words: its name, and the Markdown that the MLflow UI shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.results import FoldResult, PhaseResult
    from tinybench.training.progress import Progress

COLUMNS = {"test/accuracy": "top-1", "test/top5": "top-5", "test/f1_macro": "F1", "test/auc_ovr_macro": "AUC"}
COLUMNS |= {"test/loss": "loss", "efficiency/training_seconds": "trained s"}
HELD_OUT = {key.replace("test/", "out_of_fold/"): label for key, label in COLUMNS.items() if key.startswith("test/")}
HELD_OUT |= {"out_of_fold/log_loss": "log loss"}

FLATTERED = (
    "Tiny ImageNet's classes are ImageNet classes: weights from ImageNet have seen their like, so these scores are "
    "flattered."
)


def name(config: RunConfig, phase: str = "") -> str:
    """A run's name: model and data set, after the phase where it is one."""
    model = Path(config.model).stem if config.model.endswith(".keras") else config.model
    folder = config.dataset.removeprefix("folder:")
    title = f"{model} on {config.dataset if folder == config.dataset else Path(folder).name}"
    return f"{phase}: {title}" if phase else title


def run(config: RunConfig, dataset: Dataset, done: dict[str, PhaseResult]) -> str:
    """The parent run as Markdown."""
    rows = [f"| {phase} | {result.best_epoch} | {_cells(result.metrics)} |" for phase, result in done.items()]
    counts = ", ".join(f"{len(split):,} {title}" for title, split in dataset.splits.items())
    lines = [
        f"**{name(config)}**, recipe `{config.recipe}`, seed {config.seed}.",
        "",
        f"| phase | best epoch | {' | '.join(COLUMNS.values())} |",
        "|---" * (len(COLUMNS) + 2) + "|",
        *rows,
        "",
        f"Scored on the test images once a phase; weights were chosen by {config.monitor}.",
        f"Data: {counts} images, {len(dataset.class_names)} classes, fingerprint `{dataset.fingerprint[:12]}`.",
        *(f"Note: {line}" for line in warnings(config, dataset)),
    ]
    return "\n".join(lines)


def folds(config: RunConfig, dataset: Dataset, done: Sequence[FoldResult], found: dict[str, float]) -> str:
    """A run with folds as Markdown."""
    names = [name for name in HELD_OUT if name in done[0].metrics]
    rows = [f"| {each.number} | {' | '.join(f'{each.metrics[name]:.4f}' for name in names)} |" for each in done]
    spread = [spread_of(found, f"folds/{name.partition('/')[2]}") for name in names]
    test = ", ".join(f"{label} {found[key]:.4f}" for key, label in COLUMNS.items() if key in found)
    lines = [
        f"**{name(config)}**, recipe `{config.recipe}`, seed {config.seed}: {len(done)} stratified folds.",
        "",
        f"| fold | {' | '.join(HELD_OUT[each] for each in names)} |",
        "|---" * (len(names) + 1) + "|",
        *rows,
        f"| mean ± sd | {' | '.join(spread)} |",
        "",
        "Each fold is judged by the images that it held out, which also chose its epoch.",
        f"Test images, once, by the mean of all folds: {test}; "
        f"top-1 of a single fold {spread_of(found, 'folds/test_accuracy')}.",
        *(f"Note: {line}" for line in warnings(config, dataset)),
    ]
    return "\n".join(lines)


def spread_of(found: dict[str, float], figure: str) -> str:
    """Mean and standard deviation of a figure over folds."""
    return f"{found[f'{figure}_mean']:.4f} ± {found[f'{figure}_sd']:.4f}"


def phase(title: str, config: RunConfig, progress: Progress, fed: str, found: dict[str, float]) -> str:
    """A phase as Markdown; `fed` says what it was trained on."""
    settings = config.phase_settings(title)
    part = {"scratch": "all of it", "transfer": "backbone frozen"}.get(title) or f"unfreezing {settings.unfreeze}"
    return "\n".join(
        [
            f"Phase **{title}** of {name(config)}, {part}.",
            f"{len(progress.epochs)} of {settings.epochs} epochs at lr {settings.lr:g}; best: {progress.best_epoch}.",
            f"It {fed}.",
            "",
            f"| {' | '.join(COLUMNS.values())} |",
            "|---" * len(COLUMNS) + "|",
            f"| {_cells(found)} |",
        ]
    )


def warnings(config: RunConfig, dataset: Dataset) -> list[str]:
    """What a reader of the figures should know."""
    found = list(dataset.warnings)
    if config.dataset == "tiny-imagenet" and config.weights == "imagenet":
        found.append(FLATTERED)
    found += [f"{count} exact duplicates across {pair}." for pair, count in dataset.duplicates.items() if count]
    return found


def _cells(found: dict[str, float]) -> str:
    return " | ".join(_cell(key, found.get(key)) for key in COLUMNS)


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if key.startswith("efficiency") else f"{value:.4f}"
