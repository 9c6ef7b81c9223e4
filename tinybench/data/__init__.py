"""Data sets: images as uint8 at native size, split into train, validation and test.

`load` gives a data set ready for a run, `card` what is known about it before its files are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench.data.dataset import Card, Dataset, Pool, Source, Split

if TYPE_CHECKING:
    from tinybench.config.sections import DataConfig
    from tinybench.core.progress_bar import Progress

__all__ = ["Card", "Dataset", "Pool", "Source", "Split", "card", "load", "names", "source"]


def load(
    name: str,
    config: DataConfig,
    seed: int,
    *,
    image_size: int,
    download: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """A data set, found or fetched, decoded once and split.

    Args:
        name: A registered name, or `folder:/path`.
        config: Where the files lie, which classes, how much is held out.
        seed: What the split into train and validation is a function of.
        image_size: Side that a folder's pictures are fit to when they have different sizes.
        download: Whether an official archive may be fetched.
        progress: Shows what takes long; a bar on the terminal when None.

    Raises:
        DataError: the data cannot be had, is damaged, or does not allow what is asked; one line says what to do.
    """
    from tinybench.core.progress_bar import bar
    from tinybench.data import dataset_registry, splits

    _, loader = dataset_registry.find(name)
    source = loader(dataset_registry.Request(name, config, image_size, download, progress or bar))
    return splits.split(name, source, config, seed)


def source(name: str, config: DataConfig, *, image_size: int) -> Source:
    """A data set as its files give it, whole and not split.

    Raises:
        DataError: the data cannot be had, or are damaged.
    """
    from tinybench.core.progress_bar import bar
    from tinybench.data import dataset_registry

    _, loader = dataset_registry.find(name)
    return loader(dataset_registry.Request(name, config, image_size, True, bar))


def card(name: str) -> Card:
    """What is known about a data set before its files are there.

    Raises:
        DataError: the name is unknown; the message lists the choices.
    """
    from tinybench.data import dataset_registry

    return dataset_registry.find(name)[0]


def names() -> list[str]:
    """The registered data sets; any `folder:/path` is one as well."""
    from tinybench.data import dataset_registry

    return dataset_registry.names()
