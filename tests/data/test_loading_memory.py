"""Memory that loading takes does not grow with the number of photographs, nor with their size beyond one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_LOAD = """
import resource, sys
import tinybench.data
from tinybench.config.sections import DataConfig
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = tinybench.data.load(f"folder:{sys.argv[1]}", DataConfig(), 0, image_size=64)
print(sum(map(len, data.splits.values())), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def draw(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Save photographs of a size (width, height), which differ in a few pixels and are quick to make."""
    small = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    image = Image.fromarray(small).resize(size)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for index in range(count // 2):
            image.putpixel((index, 0), (index, 255, 0))
            image.save(folder / label / f"{index}.jpg", quality=70)


def grown_megabytes(folder: Path, count: int) -> float:
    done = subprocess.run([sys.executable, "-c", _LOAD, str(folder)], capture_output=True, text=True, check=True)
    images, kilobytes = map(int, done.stdout.split())
    assert images == count
    return kilobytes / 1024


@pytest.mark.slow
@pytest.mark.parametrize("size", [(4000, 3000), (3500, 3500)])
def test_two_hundred_photographs_of_twelve_megapixels(tmp_path: Path, size: tuple[int, int]) -> None:
    draw(tmp_path / "photos", 200, size)
    assert grown_megabytes(tmp_path / "photos", 200) < 700  # 400 MB and what the allocator keeps


def test_memory_does_not_grow_with_the_number_of_photographs(tmp_path: Path) -> None:
    draw(tmp_path / "few", 8, (1600, 1200))
    draw(tmp_path / "many", 48, (1600, 1200))
    few, many = grown_megabytes(tmp_path / "few", 8), grown_megabytes(tmp_path / "many", 48)
    assert many < few + 100  # all of them decoded are 276 MB
