"""Labels from tables, as competitions and research publish them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from labelled_tables import draw, label, members, names, write
from PIL import Image

from tinybench.core.errors import DataError


@pytest.mark.parametrize("folder", ["", "train/", "images/"])
@pytest.mark.parametrize("form", ["{name}", "{stem}", "{folder}{name}", "C:\\data\\{folder}{name}", "./{folder}{name}"])
def test_a_table_beside_the_images_is_found(root: Path, load: Callable, folder: str, form: str) -> None:
    draw(root, *names(folder, 12))
    rows = [f"{form.format(folder=folder, name=f'{i:02}.png', stem=f'{i:02}')},{label(i)}" for i in range(12)]
    write(root / "labels.csv", "id,label", *rows)
    data = load(f"folder:{root}")
    assert members(data) == {"cat": 6, "dog": 6}
    assert "labels.csv has the images in column id, classes in label." in data.warnings
    pixels = np.asarray(Image.open(root / names(folder, 12)[1]))
    (index,) = np.flatnonzero((data.train.pool.images == pixels).all(axis=(1, 2, 3)))
    assert data.class_names[data.train.pool.labels[index]] == "dog"


def test_a_competition_with_flat_train_and_test_is_read(root: Path, load: Callable) -> None:
    draw(root, *names("train/a", 12), *names("test/b", 4))
    write(root / "train.csv", "image_id,breed", *(f"a{i:02},{label(i)}" for i in range(12)))
    write(root / "sample_submission.csv", "image_id,breed", *(f"b{i:02},cat" for i in range(4)))
    data = load(f"folder:{root}")
    assert members(data) == {"cat": 6, "dog": 6}
    assert data.unused == {"images that the table does not name": 4}


def test_tables_that_are_named_after_splits_belong_together(root: Path, load: Callable) -> None:
    draw(root, *names("images/a", 12), *names("images/b", 4))
    write(root / "train.csv", "filename,label", *(f"a{i:02}.png,{label(i)}" for i in range(12)))
    write(root / "test.csv", "filename,label", *(f"b{i:02}.png,{label(i)}" for i in range(4)))
    data = load(f"folder:{root}")
    assert len(data.test) == 4
    assert sum(map(len, data.splits.values())) == 16


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_spreadsheets_are_read(root: Path, load: Callable, encoding: str) -> None:
    draw(root, *names("", 12))
    write(
        root / "labels.csv",
        "id;Art",
        *(f"{i:02}.png;{('Käfer', 'Wal')[i % 2]}\r" for i in range(12)),
        encoding=encoding,
    )
    assert members(load(f"folder:{root}")) == {"Käfer": 6, "Wal": 6}


def test_a_table_may_lie_elsewhere(root: Path, load: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(root, *names("", 12))
    write(tmp_path / "elsewhere.csv", "id;label", *(f"{i:02};{label(i)}" for i in range(12)), encoding="utf-8-sig")
    assert members(load(f"folder:{root}", labels_file=str(tmp_path / "elsewhere.csv"))) == {"cat": 6, "dog": 6}
    monkeypatch.chdir(tmp_path)
    assert members(load(f"folder:{root}", labels_file="elsewhere.csv")) == {"cat": 6, "dog": 6}


def test_folders_of_images_beside_a_table_with_other_labels_are_ambiguous(root: Path, load: Callable) -> None:
    draw(root, *names("part_1/a", 6), *names("part_2/b", 6))
    rows = [f"{'ab'[i // 6]}{i % 6:02},{label(i)}" for i in range(12)]
    write(root / "metadata.csv", "image_id,dx", *rows)
    with pytest.raises(
        DataError, match=r"folders of images \(part_1, part_2\) and a table with other labels \(cat, dog\)"
    ):
        load(f"folder:{root}")
    assert members(load(f"folder:{root}", labels_file="metadata.csv")) == {"cat": 6, "dog": 6}
    assert members(load(f"folder:{root}", labels_file="none")) == {"part_1": 6, "part_2": 6}


def test_a_table_that_agrees_with_the_folders_changes_nothing(root: Path, load: Callable) -> None:
    draw(root, *names("cat/", 6), *(f"dog/d{i}.png" for i in range(6)))
    rows = [*(f"{name},cat" for name in names("cat/", 6)), *(f"d{i},dog" for i in range(6))]
    write(root / "labels.csv", "path,label", *rows)
    data = load(f"folder:{root}")
    assert members(data) == {"cat": 6, "dog": 6}
    assert not any("has the images in column" in line for line in data.warnings)


def test_rows_that_cannot_be_used_are_counted_by_reason(root: Path, load: Callable) -> None:
    draw(root, *names("", 14))
    rows = [*(f"{i:02}.png,{label(i)}" for i in range(12)), "12.png,", "gone.png,cat", "00.png,cat", ""]
    write(root / "labels.csv", "file,label", *rows)
    data = load(f"folder:{root}")
    assert members(data) == {"cat": 6, "dog": 6}
    assert data.unused == {
        "rows of labels.csv without a class": 1,
        "rows of labels.csv without an image that is there": 1,
        "images that the table does not name": 2,
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("00.png,cat", "00.png,dog"), r"00.png is 'cat' in line 2 of labels.csv and 'dog' in line 3 of labels.csv"),
        (("x.png,cat", "y.png,dog"), r"No column of labels.csv \(file, label\) names images that are there"),
        ((), r"has no rows"),
        (("00.png,", "01.png,"), r"No row of labels.csv has both an image that is there and a class"),
        (('"00.png,cat', "01.png,dog"), r"No column of labels.csv|No row"),
    ],
)
def test_wrong_tables_get_one_line(root: Path, load: Callable, rows: tuple[str, ...], message: str) -> None:
    draw(root, *names("", 6))
    write(root / "labels.csv", "file,label", *rows)
    with pytest.raises(DataError, match=message) as error:
        load(f"folder:{root}", labels_file="labels.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"file,label\n\xff\xfe.png,cat\n", b"\x00\x01", b"", b'file,label\n"' + b"x" * 200_000]
)
def test_a_file_that_is_no_table_gets_one_line(root: Path, load: Callable, content: bytes) -> None:
    draw(root, *names("", 6))
    (root / "labels.csv").write_bytes(content)
    with pytest.raises(DataError) as error:
        load(f"folder:{root}", labels_file="labels.csv")
    assert "labels.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_images_of_the_same_name_need_their_folders(root: Path, load: Callable) -> None:
    draw(root, *names("x/", 6), *names("y/", 6))
    write(root / "labels.csv", "file,label", *(f"{name},{label(i)}" for i, name in enumerate(names("", 6))))
    with pytest.raises(DataError, match=r"'00.png' can be x/00.png or y/00.png"):
        load(f"folder:{root}", labels_file="labels.csv")
    rows = [f"{name},{label(i)}" for folder in ("x/", "y/") for i, name in enumerate(names(folder, 6))]
    write(root / "labels.csv", "file,label", *rows)
    assert members(load(f"folder:{root}", labels_file="labels.csv")) == {"cat": 6, "dog": 6}


def test_an_image_in_two_splits_is_refused(root: Path, load: Callable) -> None:
    draw(root, *names("", 6))
    for name in ("train.csv", "test.csv"):
        write(root / name, "file,label", *(f"{i:02}.png,{label(i)}" for i in range(6)))
    with pytest.raises(
        DataError, match=r"is a test image in line 2 of test.csv and a train image in line 2 of train.csv"
    ):
        load(f"folder:{root}")


def test_several_tables_are_ambiguous(root: Path, load: Callable) -> None:
    draw(root, *names("", 12))
    for name in ("one.csv", "two.csv"):
        write(root / name, "file,label", *(f"{i:02}.png,{label(i)}" for i in range(12)))
    with pytest.raises(DataError, match=r"several tables of images \(one.csv, two.csv\): name one by"):
        load(f"folder:{root}")


def test_another_table_changes_the_labels_without_a_change_of_images(root: Path, load: Callable) -> None:
    draw(root, *names("", 12))
    write(root / "labels.csv", "file,label", *(f"{i:02}.png,{label(i)}" for i in range(12)))
    before = load(f"folder:{root}")
    write(root / "labels.csv", "file,label", *(f"{i:02}.png,{'ab'[i // 6]}" for i in range(12)))
    after = load(f"folder:{root}")
    assert (before.class_names, after.class_names) == (("cat", "dog"), ("a", "b"))
    assert before.fingerprint != after.fingerprint


def test_a_row_takes_no_image_from_another_folder(root: Path, load: Callable) -> None:
    draw(root, *names("img/site1/", 12))
    rows = [f"img/site1/{i:02}.png,{label(i)}" for i in range(10)]
    write(
        root / "labels.csv",
        "path,label",
        *rows,
        "img/site2/10.png,cat",
        "site2/11.png,dog",
        "/mnt/img/site1/11.png,dog",
    )
    data = load(f"folder:{root}")
    assert members(data) == {"cat": 5, "dog": 6}
    assert data.unused["rows of labels.csv without an image that is there"] == 2


@pytest.mark.parametrize(
    "splits", [("train", "val", "test"), ("Train", "Valid", "Test"), ("train", "validation", "test")]
)
@pytest.mark.parametrize("place", ["{split}.csv", "{split}/metadata.csv", "{split}/_classes.csv"])
def test_the_same_names_in_every_split_are_told_apart_by_their_folders(
    root: Path, load: Callable, splits: tuple[str, ...], place: str
) -> None:
    for number, split in enumerate(splits):
        draw(root, *names(f"{split}/", 6))
        rows = (f"{i:02}.png,{label(i + number)}" for i in range(6))
        write(root / place.format(split=split), "file_name,label", *rows)
    data = load(f"folder:{root}")
    assert [len(part) for part in data.splits.values()] == [6, 6, 6]
    first = np.asarray(Image.open(root / splits[1] / "00.png"))
    (found,) = np.flatnonzero((data.validation.images() == first).all(axis=(1, 2, 3)))
    assert data.class_names[data.validation.labels[found]] == label(1)


def test_a_table_of_another_program_is_named(root: Path, load: Callable) -> None:
    draw(root, *names("", 6))
    (root / "labels.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"labels.xlsx is no CSV: export the table as CSV"):
        load(f"folder:{root}", labels_file="labels.xlsx")


def test_the_table_of_a_test_set_without_classes_is_told(root: Path, load: Callable) -> None:
    draw(root, *names("train/a", 12), *names("test/b", 4))
    write(root / "train.csv", "id,label", *(f"a{i:02},{label(i)}" for i in range(12)))
    write(root / "test.csv", "id", *(f"b{i:02}" for i in range(4)))
    data = load(f"folder:{root}")
    assert members(data) == {"cat": 6, "dog": 6}
    assert "test.csv names images, but no classes: their labels are not known." in data.warnings


def test_a_second_table_that_is_not_clear_is_not_passed_over(root: Path, load: Callable) -> None:
    draw(root, *names("a", 12), *names("b", 4))
    write(root / "train.csv", "id,label", *(f"a{i:02},{label(i)}" for i in range(12)))
    write(root / "test.csv", "id,colour,shape", *(f"b{i:02},{label(i)},x" for i in range(4)))
    with pytest.raises(DataError, match=r"^Which column of test.csv holds the classes \(colour, shape\)"):
        load(f"folder:{root}")


def test_a_table_without_rows_is_told(root: Path, load: Callable) -> None:
    draw(root, *names("train/a", 12), *names("test/b", 4))
    write(root / "labels.csv", "id,label")
    with pytest.raises(DataError, match=r"^labels.csv \(id, label\) has no rows: write a row for each image"):
        load(f"folder:{root}")
