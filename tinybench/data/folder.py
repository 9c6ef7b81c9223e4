"""Load a folder of images: one folder per class, a table of images and labels, or Parquet files."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.config.dataset_name import FOLDER_PREFIX
from tinybench.core.errors import DataError
from tinybench.data import decoded_cache, file_headers, folder_layout, images, label_table, parquet_files, value_range
from tinybench.data.decoding import EncodedImages, PoolWriter
from tinybench.data.folder_layout import NoClassFoldersError
from tinybench.data.labelled_files import shorten_list
from tinybench.data.load_request import LoadRequest

if TYPE_CHECKING:
    from tinybench.config.sections import DataConfig
    from tinybench.data.dataset import RawDataset
    from tinybench.data.file_headers import FolderFiles
    from tinybench.data.labelled_files import LabelledFiles

_NO_TABLE = "none"
_COLUMN_SETTINGS = ("image_column", "label_column", "split_column")


def load(request: LoadRequest) -> RawDataset:
    """Load the images of a folder.

    Squares of one size that are not larger than those of the run are stored as they are; others are resized.

    Raises:
        DataError: There is no such folder, it cannot be told which classes its images have, or images cannot be read.
    """
    path = request.name.removeprefix(FOLDER_PREFIX)
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        raise DataError(
            f"There is no folder {path!r}: give `{FOLDER_PREFIX}/path`, where the path holds one folder per class."
        )
    files = file_headers.read_files(root)
    labelled = _find_labels(files, request.config)
    if labelled.members["train"][0][1] not in files.images:
        files = _measure_rows(files, labelled)
    side = files.side if files.side and files.side <= request.image_size else None
    raw = _load_images(files, labelled, side, request)
    if raw.test is None and raw.validation is not None:  # they are the held-out test set, as for Tiny ImageNet
        raw = replace(raw, test=raw.validation, validation=None)
    target, method = request.image_size, request.config.resize
    resized = () if side else (f"{root}: images are resized to {target} x {target} pixels by `data.resize` {method}.",)
    return replace(raw, warnings=(*labelled.list_warnings(), *resized, *raw.warnings), unused=labelled.unused)


def _find_labels(files: FolderFiles, config: DataConfig) -> LabelledFiles:
    """Find out which class each image has: by a table that is named, by folders, or by a table that fits.

    Raises:
        DataError: Nothing says so, or folders and a table say different things.
    """
    if config.labels_file not in (None, _NO_TABLE):
        return label_table.read_table(files, config)
    if not files.images and parquet_files.list_parquet(files):
        return parquet_files.read_parquet(files, config)
    by_folder, problem = None, None
    try:
        by_folder = folder_layout.read_layout(files, config.split_folders)
    except NoClassFoldersError as error:
        if parquet_files.list_parquet(files):
            return parquet_files.read_parquet(files, config)
        problem = error
    by_table = None
    if config.labels_file is None and (by_folder is None or config.split_folders is None):
        by_table = _find_tables(files, config, by_folder)
    if by_table is None:
        _refuse_columns_without_table(files, config)
    if by_folder is None or by_table is None:
        labelled = by_folder or by_table
        if labelled is None:
            raise problem or AssertionError
        return labelled
    names_column = any(getattr(config, name) is not None for name in _COLUMN_SETTINGS)
    if len(by_folder.classes) == 1 or names_column:
        return by_table
    raise DataError(
        f"{files.root} has folders of images ({shorten_list(by_folder.classes)}) and a table with other labels "
        f"({shorten_list(by_table.classes)}): give `--data.labels_file` its name, or `none` if the folders count."
    )


def _find_tables(files: FolderFiles, config: DataConfig, by_folder: LabelledFiles | None) -> LabelledFiles | None:
    """Return what tables say that folders do not say as well; the way out of an error may be that folders count."""
    if by_folder is None:
        return label_table.find_tables(files, config, {}, is_needed=True)
    class_of = {name: by_folder.classes[label] for members in by_folder.members.values() for label, name in members}
    is_one_class = len(by_folder.classes) == 1
    try:
        return label_table.find_tables(files, config, {} if is_one_class else class_of, is_needed=is_one_class)
    except DataError as error:
        raise DataError(f"{error} If the folders are the classes, give `--data.labels_file none`.") from None


def _refuse_columns_without_table(files: FolderFiles, config: DataConfig) -> None:
    """Raise DataError if the settings name a column, but no table is used."""
    for name in _COLUMN_SETTINGS:
        if (column := getattr(config, name)) is not None:
            raise DataError(
                f"`data.{name}` is {column!r}, but no table in {files.root} is used: name one by `--data.labels_file`."
            )


def _measure_rows(files: FolderFiles, labelled: LabelledFiles) -> FolderFiles:
    """Return the files with the sizes of the images that are rows of Parquet files."""
    names = [name for members in labelled.members.values() for _, name in members]

    def read_size(name: str) -> tuple[int, int] | None:
        try:
            return images.read_size(io.BytesIO(labelled.read(name)))
        except (KeyError, ValueError):
            return None  # decoding reports it by name

    def measure() -> tuple[int | None, int]:
        sizes = {size for size in map(read_size, names) if size}
        height, width = next(iter(sizes)) if len(sizes) == 1 else (0, 1)
        return height if height == width else None, max((rows * columns for rows, columns in sizes), default=0)

    key = {"rows": str(files.root.resolve()), "files": files.identity}
    side, pixels = decoded_cache.compute_once(key, measure)
    return replace(files, side=side, pixels=pixels)


def _load_images(files: FolderFiles, labelled: LabelledFiles, side: int | None, request: LoadRequest) -> RawDataset:
    target = side or request.image_size
    shape = (target, target, 3)
    skip, resize = request.config.skip_corrupt, None if side else request.config.resize

    def build(folder: Path) -> decoded_cache.DatasetMetadata:
        writer, wide = PoolWriter(folder, request.progress, skip), list[int]()
        for split, members in labelled.members.items():
            labels, names = zip(*members, strict=True)
            encoded = EncodedImages(names, np.array(labels, np.int32), labelled.read, shape, resize, files.pixels)
            encoded = replace(encoded, value_range=request.config.range, wide=wide)
            writer.write_encoded(split, encoded)
        misfit = value_range.describe_misfits(wide, request.config.range) if wide else ""
        warnings = (*writer.corrupt_warnings(), *([f"{root}: {misfit}"] if misfit else []))
        return decoded_cache.DatasetMetadata(labelled.classes, warnings=warnings, resize=resize or "")

    root = files.root
    key: dict[str, Any] = {
        "data": "folder",
        "path": str(root.resolve()),
        "files": files.identity,
        "labels": labelled.identity(),
    }
    key |= {"shape": shape, "skip_corrupt": skip, "resize": resize, "range": request.config.range}
    return decoded_cache.load_or_build(key, str(root), build)
