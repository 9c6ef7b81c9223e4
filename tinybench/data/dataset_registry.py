"""The data sets by name."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tinybench.core.errors import DataError
from tinybench.data.dataset import Card, Source

if TYPE_CHECKING:
    from tinybench.config.sections import DataConfig
    from tinybench.core.progress_bar import Progress

FOLDER_PREFIX = "folder:"

_MODULES = ("tiny_imagenet", "cifar", "mnist", "digits")


@dataclass(frozen=True)
class Request:
    """What a source is asked for.

    Attributes:
        name: The data set's name, with the path where it is a folder.
        config: The data settings.
        image_size: Side that pictures of different sizes are fit to.
        download: Whether official archives may be fetched.
        progress: Shows what takes long.
    """

    name: str
    config: DataConfig
    image_size: int
    download: bool
    progress: Progress


Loader = Callable[[Request], Source]

_entries: dict[str, tuple[Card, Loader]] = {}


def register(card: Card) -> Callable[[Loader], Loader]:
    """Make a loader known under its card's name.

    Raises:
        ValueError: the name is taken.
    """

    def keep(loader: Loader) -> Loader:
        if card.name in _entries:
            raise ValueError(f"The data set `{card.name}` is registered twice.")
        _entries[card.name] = (card, loader)
        return loader

    return keep


def names() -> list[str]:
    """The registered names, folders apart."""
    _register_all()
    return list(_entries)


def find(name: str) -> tuple[Card, Loader]:
    """The card and the loader of a data set.

    Raises:
        DataError: the name is unknown; the message lists the choices.
    """
    if name.startswith(FOLDER_PREFIX):
        from tinybench.data import folder

        return Card(name, "A folder of your own pictures, one folder a class."), folder.load
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise DataError(
            f"Unknown data set `{name}`: {hint}Choose one of {', '.join(known)}, or {FOLDER_PREFIX}/path for a folder "
            "of your own pictures."
        )
    return _entries[name]


@cache
def _register_all() -> None:
    for module in _MODULES:
        importlib.import_module(f"tinybench.data.{module}")
