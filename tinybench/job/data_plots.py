"""Which pictures go with a run: of its data, and of what a network sees of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinybench.data import augment
from tinybench.features import phase_banks
from tinybench.plots import class_counts, sample_grid

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset, Split
    from tinybench.tracking.run import Run

_CLASSES, _OF_A_CLASS = 20, 8
_IMAGES, _TIMES = 6, 7


def of_data(run: Run, dataset: Dataset) -> None:
    """How many images of each class there are in each split, and some of them."""
    counts = {
        name: np.bincount(split.labels, minlength=len(dataset.class_names)) for name, split in dataset.splits.items()
    }
    run.log_figure(class_counts.plot_class_counts(counts, dataset.class_names), "figures/class_distribution.png")
    run.log_text(class_counts.class_counts_csv(counts, dataset.class_names), "figures/class_distribution.csv")
    shown = min(_CLASSES, len(dataset.class_names))
    chosen = [np.flatnonzero(dataset.train.labels == label)[:_OF_A_CLASS] for label in range(shown)]
    rows = [dataset.train.images(places) for places in chosen]
    run.log_figure(sample_grid.plot_samples(rows, dataset.class_names[:shown]), "figures/samples.png")
    run.log_arrays(
        "figures/samples.npz",
        images=np.concatenate(rows),
        labels=np.concatenate([dataset.train.labels[places] for places in chosen]),
    )


def of_augmentation(run: Run, config: RunConfig, phase: str, dataset: Dataset, *, augmented: bool) -> None:
    """Training images as they are, and as the network sees them, where a phase changes them."""
    changed = augmented or phase_banks.view_count(config, phase) > 0 or bool(augment.build_mixing(config.augment, 0))
    if not changed:
        return
    seen, shares = _seen(config, dataset.train, _spread(dataset.train.labels, config.seed), len(dataset.class_names))
    run.log_figure(sample_grid.plot_augmented_samples(seen, shares, dataset.class_names), "figures/augmented.png")
    run.log_arrays("figures/augmented.npz", images=seen, labels=shares)


def _spread(labels: NDArray[np.int32], seed: int) -> NDArray[np.int64]:
    """Places of some images by chance, of as many classes as there is room for."""
    order = np.random.default_rng(seed).permutation(len(labels))
    first = np.sort(np.unique(labels[order], return_index=True)[1])
    return np.concatenate([order[first], np.delete(order, first)])[:_IMAGES]


def _seen(
    config: RunConfig, train: Split, places: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Each image as it is and then changed anew some times, with the shares of the classes in its label.

    Returns:
        Images (images, 1 + times, height, width, channels), and shares (images, 1 + times, classes).
    """
    mixers, layers = augment.build_mixing(config.augment, config.seed), augment.build(config.augment, config.seed)
    labels = np.eye(classes, dtype=np.float32)[train.labels[places]]
    plain = {"images": train.images(places).astype(np.float32), "labels": labels}
    seen, shares = [plain["images"]], [plain["labels"]]
    for _ in range(_TIMES):
        batch: dict[str, Any] = plain
        for mixer in mixers:
            batch = mixer(batch, training=True)
        values = batch["images"]
        for layer in layers:
            values = layer(values, training=True)
        seen.append(np.asarray(values))
        shares.append(np.asarray(batch["labels"]))
    return np.stack(seen, axis=1).clip(0, 255).astype(np.uint8), np.stack(shares, axis=1)
