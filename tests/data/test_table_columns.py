"""Which columns of a table are used, and what is asked where that is not clear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from labelled_tables import draw, label, members, names, write
from PIL import Image

from tinybench.core.errors import DataError


def test_a_split_column_is_followed(root: Path, load: Callable) -> None:
    draw(root, *names("", 18))
    splits = ("train", "valid", "test")
    write(root / "all.csv", "file,class,split", *(f"{i:02}.png,{label(i)},{splits[i % 3]}" for i in range(18)))
    data = load(f"folder:{root}")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 6, "validation": 6, "test": 6}


def test_one_hot_columns_are_classes(root: Path, load: Callable) -> None:
    draw(root, *names("", 12))
    write(root / "truth.csv", "image,MEL,NV", *(f"{i:02},{(i + 1) % 2}.0,{i % 2}.0" for i in range(12)))
    assert members(load(f"folder:{root}")) == {"MEL": 6, "NV": 6}


def test_settings_name_the_columns(root: Path, load: Callable) -> None:
    draw(root, *names("", 12))
    rows = (f"{i},{i:02}.png,{('young', 'old')[i % 2]},{('a', 'b')[i % 2]},{i // 6}" for i in range(12))
    write(root / "table.tsv", "row\tpicture\tage\tgroup\tpart", *(row.replace(",", "\t") for row in rows))
    with pytest.raises(DataError, match=r"Which column of table.tsv holds the classes \(row, age, group, part\)\?"):
        load(f"folder:{root}")
    data = load(f"folder:{root}", label_column="age")
    assert members(data) == {"old": 6, "young": 6}
    data = load(f"folder:{root}", labels_file="table.tsv", image_column="picture", label_column="group")
    assert members(data) == {"a": 6, "b": 6}
    with pytest.raises(
        DataError, match=r"^Invalid value for `data.label_column`: table.tsv has no column 'x', but row"
    ):
        load(f"folder:{root}", labels_file="table.tsv", label_column="x")
    with pytest.raises(DataError, match=r"^Invalid value for `data.labels_file`: there is no file 'no.csv'"):
        load(f"folder:{root}", labels_file="no.csv")


@pytest.mark.parametrize("header", [",photo,label", "id,photo,label", "image,filename,label", "index,file,label"])
def test_the_number_of_a_row_is_not_taken_for_an_image(root: Path, load: Callable, header: str) -> None:
    draw(root, *(f"{i}.png" for i in range(12)))
    write(root / "labels.csv", header, *(f"{i},{11 - i}.png,{label(11 - i)}" for i in range(12)))
    data = load(f"folder:{root}")
    pixels = np.asarray(Image.open(root / "4.png"))
    (found,) = np.flatnonzero((data.train.pool.images == pixels).all(axis=(1, 2, 3)))
    assert data.class_names[data.train.pool.labels[found]] == label(4)


def test_columns_that_name_different_images_are_asked_for(root: Path, load: Callable) -> None:
    draw(root, *(f"{i}.png" for i in range(12)))
    write(root / "labels.csv", "left,right,label", *(f"{i},{11 - i},{label(i)}" for i in range(12)))
    with pytest.raises(DataError, match=r"^Columns left and right of labels.csv name different images: choose by"):
        load(f"folder:{root}")
    assert members(load(f"folder:{root}", image_column="right")) == {"cat": 6, "dog": 6}


def test_an_unclear_table_beside_folders_of_images_is_asked_for(root: Path, load: Callable) -> None:
    draw(root, *names("part_1/a", 6), *names("part_2/b", 6))
    rows = [f"{'ab'[i // 6]}{i % 6:02},{label(i)},{i}" for i in range(12)]
    write(root / "metadata.csv", "image_id,diagnosis,age", *rows)
    with pytest.raises(
        DataError, match=r"holds the classes \(diagnosis, age\)\? .* If the folders are the classes, give"
    ):
        load(f"folder:{root}")
    assert members(load(f"folder:{root}", labels_file="none")) == {"part_1": 6, "part_2": 6}
    assert members(load(f"folder:{root}", label_column="diagnosis")) == {"cat": 6, "dog": 6}


@pytest.mark.parametrize(
    ("header", "values", "message"),
    [
        ("split", ("train", "train", "pred"), r"Column split .* has values that are no split \(pred\)"),
        ("Usage", ("Training", "PublicTest", "PrivateTest"), r"no split \(PrivateTest, PublicTest\)"),
        ("is_test", ("0", "0", "1"), r"Column is_test .* is true or false"),
    ],
)
def test_a_split_that_is_not_understood_is_asked_for(
    root: Path, load: Callable, header: str, values: tuple[str, ...], message: str
) -> None:
    draw(root, *names("", 18))
    write(root / "all.csv", f"file,class,{header}", *(f"{i:02}.png,{label(i)},{values[i % 3]}" for i in range(18)))
    with pytest.raises(DataError, match=message):
        load(f"folder:{root}")
    assert members(load(f"folder:{root}", split_column="none", label_column="class")) == {"cat": 9, "dog": 9}


def test_the_split_column_is_told(root: Path, load: Callable) -> None:
    draw(root, *names("", 12))
    write(
        root / "all.csv",
        "file,class,subset",
        *(f"{i:02}.png,{label(i)},{('train', 'test')[i // 8]}" for i in range(12)),
    )
    data = load(f"folder:{root}")
    assert data.warnings[0] == "all.csv has the images in column file, classes in class, splits in subset."


@pytest.mark.parametrize(
    ("ids", "header", "message"),
    [
        (lambda i: str(i), "id,label", r"images are there such as images/00.png, rows such as '1, dog'"),
        (lambda i: f"{i:02}.jpg", "id,label", r"names images that are there"),
        (lambda i: f"{i:02}", "id,color,shape", r"Which column of labels.csv holds the classes"),
    ],
)
def test_a_table_that_does_not_fit_is_the_cause(
    root: Path, load: Callable, ids: Callable, header: str, message: str
) -> None:
    draw(root, *names("images/", 10))
    more = ",x" * (header.count(",") - 1)
    write(root / "labels.csv", header, *(f"{ids(i)},{label(i)}{more}" for i in range(1, 10)))
    with pytest.raises(DataError, match=message):
        load(f"folder:{root}")


def test_a_table_without_a_header_is_told(root: Path, load: Callable) -> None:
    draw(root, *names("images/", 10))
    write(root / "labels.csv", "00.png,cat", *(f"{i:02}.png,{label(i)}" for i in range(1, 10)))
    with pytest.raises(DataError, match=r"^labels.csv has no header"):
        load(f"folder:{root}")


def test_a_column_without_a_table_is_refused(root: Path, load: Callable) -> None:
    draw(root, *names("cat/", 6), *(f"dog/d{i}.png" for i in range(6)))
    with pytest.raises(DataError, match=r"^`data.label_column` is 'x', but no table in .* is used"):
        load(f"folder:{root}", label_column="x")


def test_few_images_of_a_large_table_are_found(root: Path, load: Callable) -> None:
    draw(root, *(f"{index}.png" for index in range(1997, 2009)))
    write(root / "labels.csv", "id,label", *(f"{index},{label(index)}" for index in range(5000)))
    data = load(f"folder:{root}")
    assert members(data) == {"cat": 6, "dog": 6}
    assert data.unused == {"rows of labels.csv without an image that is there": 4988}
