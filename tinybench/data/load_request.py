"""The request for a data set that is given to its loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.config.dataset_name import FOLDER_PREFIX, is_folder, make_absolute
from tinybench.core.name_text import clean_name

if TYPE_CHECKING:
    from tinybench.config.sections import DataConfig
    from tinybench.core.progress_bar import ProgressFactory


def short_name(dataset: str) -> str:
    """Return the name of a data set for titles, tables and registered models: that of the folder if it is one."""
    if not is_folder(dataset):
        return dataset
    path = Path(dataset.removeprefix(FOLDER_PREFIX)).expanduser()
    return clean_name(path.name if path.name not in ("", "..") else path.resolve().name or dataset)


def is_named(dataset: str, given: str) -> bool:
    """Return whether a person means a data set: by its name, its short name, or another path of the folder."""
    return given in (dataset, short_name(dataset)) or make_absolute(given) == dataset


@dataclass(frozen=True)
class LoadRequest:
    """A data set to load, with the settings that decide how.

    Attributes:
        name: The name of the data set, or `folder:` and a path.
        config: The data settings.
        image_size: The side in pixels to which a folder's images are resized when their sizes differ.
        download: Whether an official archive may be downloaded.
        progress: Shows the progress of downloads and of decoding.
    """

    name: str
    config: DataConfig
    image_size: int
    download: bool
    progress: ProgressFactory
