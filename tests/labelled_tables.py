"""Make folders of images with tables of their labels."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def draw(root: Path, *names: str) -> None:
    """Save an image of its own pixels under each name."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(root / name)


def names(folder: str, count: int, suffix: str = ".png") -> list[str]:
    """Return the names of numbered images in a folder."""
    return [f"{folder}{index:02}{suffix}" for index in range(count)]


def write(path: Path, header: str, *rows: str, encoding: str = "utf-8") -> None:
    """Write a table."""
    path.write_text("\n".join((header, *rows)) + "\n", encoding)


def label(index: int) -> str:
    """Return the class of an image by its number."""
    return ("cat", "dog")[index % 2]


def members(data) -> dict[str, int]:
    """Return the number of images by class over all splits."""
    labels = np.concatenate([split.labels for split in data.splits.values()])
    return dict(zip(data.class_names, np.bincount(labels).tolist(), strict=True))
