"""The number of things in words."""

from __future__ import annotations

import pytest

from tinybench.core.count_text import describe_count


@pytest.mark.parametrize(
    ("count", "things", "expected"),
    [
        (1, "images without a label", "1 image without a label"),
        (0, "images", "0 images"),
        (2000, "images in train/", "2,000 images in train/"),
        (1, "files that are not JPEG images", "1 file that is not JPEG images"),
        (1, "batches of other sizes", "1 batch of other sizes"),
        (1, "images in folders that are no class", "1 image in folders that are no class"),
    ],
)
def test_one_thing_is_in_the_singular(count: int, things: str, expected: str):
    assert describe_count(count, things) == expected
