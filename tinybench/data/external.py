"""Adapt a data set that a model was not trained on, so that the model can be evaluated on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import images as image_files
from tinybench.data.dataset import Dataset, ImagePool, Labels, RawDataset, Split
from tinybench.data.splits import count_duplicates, hash_splits


def adapt_to_model(
    name: str, raw: RawDataset, class_names: tuple[str, ...], shape: tuple[int, int, int], resize: str
) -> Dataset:
    """Return a data set of test images alone, with the labels and the image size of a model.

    The test images are the official ones, or all images where there are none.

    Args:
        name: The name in the configuration.
        raw: The data set, with some or all of the model's classes in any order.
        class_names: The classes of the model.
        shape: Height, width and channels of the images that the model takes.
        resize: How images of another size are resized for the model, see `data.images.resize`.

    Raises:
        DataError: The data set has a class that the model does not have.
    """
    label_of = {clean_name(class_name): label for label, class_name in enumerate(class_names)}
    unknown = [class_name for class_name in raw.class_names if clean_name(class_name) not in label_of]
    if unknown:
        raise DataError(
            f"The model does not know {len(unknown)} of the classes, such as {unknown[0]!r}. It knows "
            f"{', '.join(map(repr, class_names[:5]))}{' …' if len(class_names) > 5 else ''}: rename the folders, or "
            "leave them out."
        )
    pool = raw.test or raw.train
    model_labels = np.array([label_of[clean_name(class_name)] for class_name in raw.class_names], np.int32)
    labels = model_labels[pool.labels]
    pool = _convert_pool(pool, labels, shape, resize)
    empty = Split(pool, np.arange(0), labels[:0])
    splits = {"train": empty, "validation": empty, "test": Split(pool, np.arange(len(labels)), labels)}
    return Dataset(
        name=name,
        **splits,
        class_names=class_names,
        superclasses=(),
        shape=shape,
        fingerprint=raw.fingerprint,
        split_hash=hash_splits(splits),
        origin=raw.origin,
        resize=resize,
        duplicates=count_duplicates(splits),
        warnings=raw.warnings,
        unused=raw.unused,
    )


def _convert_pool(pool: ImagePool, labels: Labels, shape: tuple[int, int, int], resize: str) -> ImagePool:
    """Return a pool with other labels, its images converted where they have another size or number of channels."""
    if pool.images.shape[1:] == shape:
        return replace(pool, labels=labels)
    height, width, channels = shape
    images = np.empty((len(pool.images), height, width, channels), np.uint8)
    for index, image in enumerate(pool.images):
        images[index] = image_files.resize(
            image_files.convert_array(image, channels=1 if channels == 1 else 3), (height, width), resize
        )
    return ImagePool(images, labels, pool.digests, resize)
