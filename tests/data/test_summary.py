"""A data set as plain values."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinybench.data.dataset import Dataset, ImagePool, Split
from tinybench.data.summary import summarize_dataset


def part(labels: Sequence[int]) -> Split:
    numbers = np.array(labels, np.int32)
    pool = ImagePool(np.zeros((len(labels), 8, 8, 1), np.uint8), numbers, np.zeros(len(labels), "S16"))
    return Split(pool, np.arange(len(labels)), numbers)


def dataset(train: Sequence[int] = (0, 1, 1), validation: Sequence[int] = (0,), test: Sequence[int] = (1,), **other):
    values = {"name": "pets", "class_names": ("cat", "dog"), "shape": (8, 8, 1), "origin": "/pets"}
    values |= {"fingerprint": "0123456789abcdef" * 4, "split_hash": "f" * 64} | other
    return Dataset(train=part(train), validation=part(validation), test=part(test), **values)


LABELS = st.lists(st.integers(0, 1), max_size=6)


@given(LABELS, LABELS, LABELS)
def test_every_image_is_counted_once(train, validation, test):
    told = summarize_dataset(dataset(train, validation, test))
    assert told["images"] == {"train": len(train), "validation": len(validation), "test": len(test)}
    for title, labels in [("train", train), ("validation", validation), ("test", test)]:
        assert told["images_by_class"][title] == {"cat": labels.count(0), "dog": labels.count(1)}


def test_the_data_s_description_is_json():
    told = summarize_dataset(dataset(duplicates={"train/test": 1}, warnings=("Look.",)))
    again = json.loads(json.dumps(told))
    assert again["duplicates"] == {"train/test": 1}
    assert again["warnings"] == ["Look."]
    assert again["shape"] == [8, 8, 1]
    assert {key: again[key] for key in ("name", "origin")} == {"name": "pets", "origin": "/pets"}
