"""The registry of data sets by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tinybench.config.dataset_name import FOLDER_PREFIX, is_folder
from tinybench.core.errors import DataError
from tinybench.core.suggestion import suggest
from tinybench.data.dataset import DatasetCard, RawDataset
from tinybench.data.load_request import LoadRequest

# The modules that register data sets when they are imported
_MODULES = ("tiny_imagenet", "cifar", "mnist", "digits")

Loader = Callable[[LoadRequest], RawDataset]

_entries: dict[str, tuple[DatasetCard, Loader]] = {}


def register(card: DatasetCard) -> Callable[[Loader], Loader]:
    """Return a decorator that registers a loader under the name of its card.

    Raises:
        ValueError: A data set of that name is registered already.
    """

    def add(loader: Loader) -> Loader:
        if card.name in _entries:
            raise ValueError(f"The data set `{card.name}` is registered twice.")
        _entries[card.name] = (card, loader)
        return loader

    return add


def names() -> list[str]:
    """Return the registered names, in the order of registration."""
    _register_all()
    return list(_entries)


def find(name: str) -> tuple[DatasetCard, Loader]:
    """Return the card and the loader of a data set.

    Raises:
        DataError: The name is unknown; the message lists the choices.
    """
    if is_folder(name):
        from tinybench.data import folder

        return DatasetCard(name, "A folder of your own images, one folder per class."), folder.load
    choices = names()
    if name not in choices:
        near = f" Did you mean '{FOLDER_PREFIX}{name}'?" if Path(name).is_dir() else suggest(name, choices)
        raise DataError(
            f"Unknown data set {name!r}: choose one of {', '.join(choices)}, or {FOLDER_PREFIX}/path for a folder of "
            f"your own images.{near}"
        )
    return _entries[name]


@cache
def _register_all() -> None:
    for module in _MODULES:
        importlib.import_module(f"tinybench.data.{module}")
