"""Log plots of a run's images: samples of the data, and what augmentation makes of them."""

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
    from tinybench.tracking.run_writer import RunWriter

_SAMPLE_CLASSES, _SAMPLES_PER_CLASS = 20, 8
_AUGMENTED_IMAGES, _AUGMENTATIONS = 6, 7


def log_data_plots(run: RunWriter, dataset: Dataset) -> None:
    """Log the number of images of each class in each split, and some training images of the first classes."""
    names = dataset.class_names
    counts = {split: np.bincount(images.labels, minlength=len(names)) for split, images in dataset.splits.items()}
    run.log_figure(class_counts.plot_class_counts(counts, names), "figures/class_distribution.png")
    run.log_text(class_counts.class_counts_csv(counts, names), "figures/class_distribution.csv")
    train = dataset.train
    class_count = min(_SAMPLE_CLASSES, len(names))
    indices = [np.flatnonzero(train.labels == label)[:_SAMPLES_PER_CLASS] for label in range(class_count)]
    samples = [train.images(class_indices) for class_indices in indices]
    title = (
        "Training images" if class_count == len(names) else f"Training images, {class_count} of {len(names)} classes"
    )
    run.log_figure(sample_grid.plot_samples(samples, names[:class_count], title=title), "figures/samples.png")
    run.log_arrays("figures/samples.npz", images=np.concatenate(samples), labels=train.labels[np.concatenate(indices)])


def log_augmented_images(run: RunWriter, config: RunConfig, phase: str, dataset: Dataset, *, augmented: bool) -> None:
    """Log some training images as they are and as the network sees them, if the phase changes images at all.

    Args:
        run: The run of the phase.
        config: The run's configuration.
        phase: `scratch`, `transfer` or `finetune`.
        dataset: The images.
        augmented: The training graph augments the images.
    """
    views = phase_banks.view_count(config, config.phase_settings(phase))
    if not (augmented or views > 0 or augment.build_mixing(config.augment, 0)):
        return
    indices = _choose_images(dataset.train.labels, config.seed)
    images, shares = _augment(config, dataset.train, indices, len(dataset.class_names))
    figure = sample_grid.plot_augmented_samples(images, shares, dataset.class_names)
    run.log_figure(figure, "figures/augmented.png")
    run.log_arrays("figures/augmented.npz", images=images, labels=shares)


def _choose_images(labels: NDArray[np.int32], seed: int) -> NDArray[np.int64]:
    """Return the indices of some images, drawn at random, of as many different classes as possible."""
    order = np.random.default_rng(seed).permutation(len(labels))
    first_of_class = np.sort(np.unique(labels[order], return_index=True)[1])
    return np.concatenate([order[first_of_class], np.delete(order, first_of_class)])[:_AUGMENTED_IMAGES]


def _augment(
    config: RunConfig, train: Split, indices: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Augment and mix some images several times.

    Returns:
        Images (images, 1 + times, height, width, channels), the first of each as it is, and the shares of the classes
        in their labels (images, 1 + times, classes).
    """
    mixers, layers = augment.build_mixing(config.augment, config.seed), augment.build(config.augment, config.seed)
    labels = np.eye(classes, dtype=np.float32)[train.labels[indices]]
    originals = {"images": train.images(indices).astype(np.float32), "labels": labels}
    images, shares = [originals["images"]], [originals["labels"]]
    for _ in range(_AUGMENTATIONS):
        batch: dict[str, Any] = originals
        for mixer in mixers:
            batch = mixer(batch, training=True)
        pixels = batch["images"]
        for layer in layers:
            pixels = layer(pixels, training=True)
        images.append(np.asarray(pixels))
        shares.append(np.asarray(batch["labels"]))
    return np.stack(images, axis=1).clip(0, 255).astype(np.uint8), np.stack(shares, axis=1)
