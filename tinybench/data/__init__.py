"""Data sets: images as uint8 at native size, split into train, validation and test.

`load` returns a data set that is ready for a run, `card` what is known about it before its files are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench.data.dataset import Dataset, DatasetCard, ImagePool, RawDataset, Split

if TYPE_CHECKING:
    from tinybench.config.sections import DataConfig
    from tinybench.core.progress_bar import ProgressFactory

__all__ = ["Dataset", "DatasetCard", "ImagePool", "RawDataset", "Split", "card", "load", "load_raw", "names"]


def load(
    name: str,
    config: DataConfig,
    seed: int,
    *,
    image_size: int,
    download: bool = True,
    progress: ProgressFactory | None = None,
) -> Dataset:
    """Load a data set and split it into train, validation and test.

    Args:
        name: A registered name, or `folder:/path`.
        config: The data settings: where the files are, which classes, how much is held out.
        seed: Decides which training images are held out for validation.
        image_size: The side in pixels to which a folder's images are resized when their sizes differ.
        download: Whether an official archive may be downloaded.
        progress: Shows the progress of downloads and of decoding; a bar on the terminal when None.

    Raises:
        DataError: The data are absent or damaged, or do not allow the split that the settings ask for.
    """
    from tinybench.core import waiting
    from tinybench.data import splits

    raw = load_raw(name, config, image_size=image_size, download=download, progress=progress)
    with waiting.tell_if_slow("splitting the images and looking for duplicates"):
        return splits.split(name, raw, config, seed)


def load_raw(
    name: str, config: DataConfig, *, image_size: int, download: bool = True, progress: ProgressFactory | None = None
) -> RawDataset:
    """Load a data set as its files give it, with all classes and without splitting it; see `load`.

    Raises:
        DataError: The data are absent or damaged.
    """
    from tinybench.core.progress_bar import progress_bar
    from tinybench.data import dataset_registry
    from tinybench.data.load_request import LoadRequest

    _, loader = dataset_registry.find(name)
    return loader(LoadRequest(name, config, image_size, download, progress or progress_bar))


def card(name: str) -> DatasetCard:
    """Return what is known about a data set before its files are there.

    Raises:
        DataError: The name is unknown; the message lists the choices.
    """
    from tinybench.data import dataset_registry

    return dataset_registry.find(name)[0]


def names() -> list[str]:
    """Return the names of the registered data sets; `folder:/path` is allowed besides."""
    from tinybench.data import dataset_registry

    return dataset_registry.names()
