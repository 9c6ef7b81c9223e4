"""The key of a cell: a hash of what decides its result, by content and not by paths and names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinybench import data
from tinybench.config import run_config as configuration
from tinybench.config.dataset_name import is_folder
from tinybench.config.effects import FOLDER_SETTINGS, find_ineffective
from tinybench.config.probe_settings import PROBE_SETTINGS
from tinybench.config.run_config import NOT_IDENTITY, RunConfig
from tinybench.core.hashing import hash_file

Contents = Mapping[str, str]
"""The hashes of the data and of the files of a cell, by `data`, `model` and `weights`."""


def make_key(config: RunConfig, contents: Contents, *, is_probe: bool = False) -> str:
    """Return the key of a cell, 64 hex digits.

    Settings that have their default are left out, so that one which a later version adds changes no key; those that
    cannot have an effect, too.

    Args:
        config: The configuration of the cell.
        contents: The hashes of its data and files.
        is_probe: Whether the backbone is probed, to which the settings of phases and head do not matter.
    """
    left_out = {"recipe", *(item.key for item in find_ineffective(config))}
    if is_folder(config.dataset):
        left_out |= {"dataset", *FOLDER_SETTINGS}
    left_out |= {*contents} & {"model", "weights"}
    settings = {
        key: value
        for key, value in config.flat().items()
        if not key.startswith(NOT_IDENTITY) and key not in left_out and value != configuration.SETTINGS[key].default
    }
    if is_probe:
        settings = {key: value for key, value in settings.items() if key.startswith(PROBE_SETTINGS)}
        settings["probe"] = True
    return hashlib.sha256(json.dumps([settings, dict(contents)], sort_keys=True).encode()).hexdigest()


def describe_data(config: RunConfig) -> str:
    """Return which data a run has, as JSON: runs that share it have data with the same hash."""
    settings = {key: value for key, value in config.flat().items() if key.startswith("data.")}
    return json.dumps([config.dataset, config.image_size, settings], sort_keys=True)


def list_contents(cells: Iterable[RunConfig]) -> list[Contents]:
    """Return the hashes of the data and files of each cell; data sets are loaded, which also decodes their images.

    Raises:
        DataError: Data are absent or damaged, or do not allow the split that the settings ask for.
    """
    fingerprints: dict[str, str] = {}
    hashes: dict[Path, str] = {}
    contents: list[Contents] = []
    for config in cells:
        request = describe_data(config)
        if request not in fingerprints:
            dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
            fingerprints[request] = dataset.fingerprint
        contents.append({"data": fingerprints[request]} | _hash_files(config, hashes))
    return contents


def _hash_files(config: RunConfig, hashes: dict[Path, str]) -> dict[str, str]:
    files: dict[str, Any] = {"model": Path(config.model), "weights": Path(config.weights)}
    files = {name: path.resolve() for name, path in files.items() if path.is_file()}
    for path in files.values():
        if path not in hashes:
            hashes[path] = hash_file(path, "sha256")
    return {name: hashes[path] for name, path in files.items()}
