"""The request for a data set that is given to its loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.core.name_text import clean_name

if TYPE_CHECKING:
    from tinybench.config.sections import DataConfig
    from tinybench.core.progress_bar import ProgressFactory

FOLDER_PREFIX = "folder:"  # before the path in the name of a data set that is a folder of images


def short_name(dataset: str) -> str:
    """Return the name of a data set for titles, tables and registered models: that of the folder if it is one."""
    if not dataset.startswith(FOLDER_PREFIX):
        return dataset
    path = Path(dataset.removeprefix(FOLDER_PREFIX)).expanduser()
    return clean_name(path.name if path.name not in ("", "..") else path.resolve().name or dataset)


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
