"""Images and labels in Parquet files, as Hugging Face's hub has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tinybench.core.errors import DataError

FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


@pytest.fixture
def write(encode: Callable[..., bytes], tmp_path: Path) -> Callable[..., np.ndarray]:
    """Write a file with images of random pixels, which are returned."""

    def call(
        name: str, labels: list[Any], *, seed: int = 0, features: Any = FEATURES, **columns: list[Any]
    ) -> np.ndarray:
        pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 8, 8, 3), np.uint8)
        images = [{"bytes": encode(image), "path": f"{index}.png"} for index, image in enumerate(pixels)]
        table = pa.table({"image": images, "label": labels} | columns)
        metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else {}
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=5)
        return pixels

    return call


def test_the_layout_of_hugging_face_is_read(write, load, tmp_path):
    pixels = np.concatenate(
        [
            write("data/train-00000-of-00002.parquet", [0, 1] * 6),
            write("data/train-00001-of-00002.parquet", [0, 1] * 4, seed=1),
        ]
    )
    test = write("data/test-00000-of-00001.parquet", [0, 1, 1], seed=2)
    data = load(f"folder:{tmp_path / 'set'}")
    assert data.class_names == ("cat", "dog")
    np.testing.assert_array_equal(data.train.pool.images, pixels)
    np.testing.assert_array_equal(data.train.pool.labels, [0, 1] * 10)
    np.testing.assert_array_equal(data.test.images(), test)
    assert data.shape == (8, 8, 3)
    assert "Images and classes are columns image and label of 3 Parquet file(s)." in data.warnings


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("train.parquet", "validation.parquet", "test.parquet"), (12, 12, 12)),
        (("default/train/0000.parquet", "default/validation/0000.parquet", "default/test/0000.parquet"), (12, 12, 12)),
        (("part0.parquet", "part1.parquet", "part2.parquet"), (26, 2, 8)),
    ],
)
def test_splits_are_those_of_the_names(write, load, tmp_path, names, split):
    for seed, name in enumerate(names):
        write(name, [0, 1] * 6, seed=seed)
    data = load(f"folder:{tmp_path / 'set'}")
    assert tuple(len(part) for part in data.splits.values()) == split


def test_labels_may_be_words_or_numbers_without_names(write, load, tmp_path):
    write("train.parquet", ["b", "a"] * 6, features=None)
    assert load(f"folder:{tmp_path / 'set'}").class_names == ("a", "b")
    write("train.parquet", [10, 9] * 6, features=None)
    assert load(f"folder:{tmp_path / 'set'}").class_names == ("9", "10")


def test_columns_that_are_not_clear_are_named_by_settings(write, load, tmp_path):
    features = FEATURES | {"coarse": {"names": ["x", "y"], "_type": "ClassLabel"}}
    write("train.parquet", [0, 1] * 6, features=features, coarse=[1, 0] * 6)
    with pytest.raises(DataError, match=r"holds the classes \(label, coarse\)\? Name it by `--data.label_column`"):
        load(f"folder:{tmp_path / 'set'}")
    data = load(f"folder:{tmp_path / 'set'}", label_column="coarse")
    assert data.class_names == ("x", "y")
    assert data.train.pool.labels.tolist() == [1, 0] * 6
    with pytest.raises(DataError, match="has no column 'z', but image, label, coarse"):
        load(f"folder:{tmp_path / 'set'}", label_column="z")


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1, 2, 0], "the label 2, but 2 class names"), ([0, -2, 1, 0], "the label -2, but 2 class names")],
)
def test_labels_that_stand_for_no_class_are_refused(write, load, tmp_path, labels, message):
    write("train.parquet", labels)
    with pytest.raises(DataError, match=message):
        load(f"folder:{tmp_path / 'set'}")


def test_a_row_without_a_readable_image_is_corrupt(load, tmp_path, encode):
    images = [{"bytes": encode(np.full((8, 8, 3), value, np.uint8)), "path": None} for value in range(12)]
    table = pa.table({"image": [{"bytes": b"text", "path": None}, *images], "label": ["a", "a", *["a", "b"] * 5, "b"]})
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"1 corrupt image\(s\): train.parquet#0 \(not a JPEG"):
        load(f"folder:{tmp_path}")
    assert sum(map(len, load(f"folder:{tmp_path}", skip_corrupt=True).splits.values())) == 12


def test_a_damaged_file_gets_one_line(load, tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"PAR1" + b"\0" * 100)
    with pytest.raises(DataError, match=r"^Cannot read .*train.parquet") as error:
        load(f"folder:{tmp_path}")
    assert "\n" not in str(error.value)


def test_rows_without_a_class_are_left_out_and_told(write, load, tmp_path):
    write("train.parquet", [0, 1] * 6)
    write("test.parquet", [-1] * 4, seed=1)
    data = load(f"folder:{tmp_path / 'set'}")
    assert sum(map(len, data.splits.values())) == 12
    assert data.unused == {"rows without a class": 4}
    write("train.parquet", [0, 1, None] * 6)
    assert load(f"folder:{tmp_path / 'set'}").unused == {"rows without a class": 10}


def test_class_names_are_those_of_each_file(write, load, tmp_path):
    write("train.parquet", [0, 1] * 6)
    turned = FEATURES | {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}
    test = write("test.parquet", [0, 0, 1], seed=1, features=turned)
    data = load(f"folder:{tmp_path / 'set'}")
    for image, name in zip(test, ["dog", "dog", "cat"], strict=True):
        (found,) = np.flatnonzero((data.test.images() == image).all(axis=(1, 2, 3)))
        assert data.class_names[data.test.labels[found]] == name


def test_files_of_several_data_sets_are_refused(write, load, tmp_path):
    write("fine/train/0000.parquet", [0, 1] * 6)
    coarse = FEATURES | {"label": {"names": ["animal", "plant"], "_type": "ClassLabel"}}
    write("coarse/train/0000.parquet", [0, 1] * 6, features=coarse)
    with pytest.raises(DataError, match=r"have other columns or classes: put each data set into a folder of its own"):
        load(f"folder:{tmp_path / 'set'}")


def test_files_of_no_split_beside_splits_are_left_out_and_told(write, load, tmp_path):
    write("train.parquet", [0, 1] * 6)
    write("unlabelled-00000.parquet", [0, 1] * 3, seed=1)
    data = load(f"folder:{tmp_path / 'set'}")
    assert sum(map(len, data.splits.values())) == 12
    assert data.unused == {"Parquet files that are named after no split": 1}


def test_a_picture_beside_parquet_files_does_not_hide_them(write, load, tmp_path, encode):
    write("train.parquet", [0, 1] * 6)
    (tmp_path / "set/thumb.png").write_bytes(encode(np.zeros((4, 4, 3), np.uint8)))
    assert sum(map(len, load(f"folder:{tmp_path / 'set'}").splits.values())) == 12
    with pytest.raises(DataError, match=r"^`data.split_column` is for tables"):
        load(f"folder:{tmp_path / 'set'}", split_column="x")
