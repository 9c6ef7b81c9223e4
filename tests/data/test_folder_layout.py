"""Layouts of folders as people have them: recognised, or refused in one line that says what to do."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinybench.core.errors import DataError
from tinybench.data import summary

CLASSES = ("cat", "dog")
NFC, NFD = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def counts(*splits: str, classes=CLASSES, count=6) -> dict[str, int]:
    return {f"{split}/{name}": count for split in splits for name in classes}


def sizes(data) -> dict[str, int]:
    return {split: len(part) for split, part in data.splits.items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("Train", "Test"),
        ("seg_train", "seg_test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set", "test_set"),
        ("training_set/training_set", "test_set/test_set"),
        ("train2017", "test2017"),
    ],
)
def test_other_spellings_of_splits_are_read_and_told(make_folder, load, train, test):
    data = load(f"folder:{make_folder(counts(train, test))}")
    assert data.class_names == CLASSES
    assert len(data.test) == 12
    assert any("holds the train images" in line and "holds the test images" in line for line in data.warnings)


@pytest.mark.parametrize("name", ["valid", "validation", "dev", "eval", "Val", "validation_set"])
def test_other_spellings_of_validation(make_folder, load, name):
    data = load(f"folder:{make_folder(counts('train', name, 'test'))}")
    assert sizes(data) == {"train": 12, "validation": 12, "test": 12}


def test_a_folder_that_wraps_all_is_entered_and_told(make_folder, load):
    data = load(f"folder:{make_folder(counts('archive/pictures'))}")
    assert data.class_names == CLASSES
    assert any("archive/pictures, the only folder there" in line for line in data.warnings)
    data = load(f"folder:{make_folder(counts('archive/train', 'archive/test'), name='splits')}")
    assert (data.class_names, len(data.test)) == (CLASSES, 12)


def test_a_folder_of_a_class_with_folders_in_it_is_no_wrapper(make_folder, load):
    data = load(f"folder:{make_folder(counts('train', classes=('cat/images', 'dog/images')))}")
    assert data.class_names == CLASSES


def test_folders_that_share_names_are_splits_or_classes_and_the_user_says_which(make_folder, load):
    root = make_folder(counts("partA", "partB"))
    with pytest.raises(
        DataError, match=r"partA/, partB/ .* hold no images of their own, but folders of the same names"
    ) as error:
        load(f"folder:{root}")
    assert "--data.split_folders train=partA,test=partB" in str(error.value)
    assert "\n" not in str(error.value)
    data = load(f"folder:{root}", split_folders=("train=partA", "test=partB"))
    assert (data.class_names, len(data.test)) == (CLASSES, 12)
    data = load(f"folder:{root}", split_folders="none")
    assert data.class_names == ("partA", "partB")


@pytest.mark.parametrize(
    ("names", "example"),
    [
        (("part1", "part2"), "train=part1,test=part2"),
        (("a_test", "b_train"), "train=b_train,test=a_test"),
        (("my_val", "other", "z_train"), "train=z_train,test=my_val"),
    ],
)
def test_the_example_of_splits_follows_the_names(make_folder, load, names, example):
    with pytest.raises(DataError, match=f"--data.split_folders {example}`"):
        load(f"folder:{make_folder(counts(*names))}")


def test_two_folders_for_one_split_are_asked_for_with_all_splits(make_folder, load):
    with pytest.raises(DataError, match=r"both val/ and dev/|both dev/ and val/") as error:
        load(f"folder:{make_folder(counts('train', 'val', 'dev'))}")
    assert "--data.split_folders train=train,validation=" in str(error.value)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (("train=nowhere",), "there is no folder 'nowhere'"),
        (("test=partA",), "names no train"),
        (("train=partA", "train=partB"), "each once, got 'train=partB'"),
        (("wrong=partA",), "got 'wrong=partA'"),
    ],
)
def test_wrong_split_folders_are_refused(make_folder, load, pairs, message):
    with pytest.raises(DataError, match=f"^Invalid value for `data.split_folders`.*{message}"):
        load(f"folder:{make_folder(counts('partA', 'partB'))}", split_folders=pairs)


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test"),
        ("Train", "val"),
        ("train", "valid", "test"),
        ("train", "test1"),
        ("testA", "trainA", "trainB"),
    ],
)
def test_flat_splits_are_no_classes(make_folder, load, names):
    root = make_folder(dict.fromkeys(names, 8))
    with pytest.raises(DataError, match="hold images, not a folder per class: name a table"):
        load(f"folder:{root}")
    assert load(f"folder:{root}", split_folders="none").class_names == tuple(sorted(names))


def test_one_class_that_is_named_after_a_split_is_a_class(make_folder, load):
    assert load(f"folder:{make_folder({'train': 5, 'bus': 5, 'plane': 5})}").class_names == ("bus", "plane", "train")


def test_test_images_without_classes_have_no_labels(make_folder, load):
    data = load(f"folder:{make_folder(counts('train') | {'test': 7})}")
    assert data.class_names == CLASSES
    assert sum(sizes(data).values()) == 12
    assert "test/ has no class folders, and is left out: 7 images." in data.warnings
    assert data.unused == {"images without labels": 7}


def test_images_are_known_by_their_content(make_folder, load, encode):
    root = make_folder({"cat": 4, "dog": 4})
    generator = np.random.default_rng(1)
    for name, kind in [
        ("a.jfif", "JPEG"),
        ("b.jpe", "JPEG"),
        ("c.ppm", "PPM"),
        ("d", "PNG"),
        ("e.dat", "WEBP"),
        ("f.JPG", "PNG"),
    ]:
        pixels = generator.integers(0, 256, (8, 8, 3), np.uint8)
        (root / "cat" / name).write_bytes(encode(pixels, kind))
    (root / "cat/notes.txt").write_text("no picture")
    (root / "cat/g.gif").write_bytes(encode(np.zeros((8, 8), np.uint8), "GIF"))
    data = load(f"folder:{root}")
    assert sum(sizes(data).values()) == 14
    reason = "files that are not JPEG, PNG, BMP, WebP or PPM images (1 .gif, 1 .txt)"
    assert data.unused == {reason: 2}
    assert data.warnings == (f"Not used: 2 {reason}.",)
    assert summary.summarize_dataset(data)["unused"] == {reason: 2}


def test_loose_images_beside_the_class_folders_are_told(make_folder, load, encode):
    root = make_folder({"cat": 4, "dog": 4})
    (root / "loose.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8)))
    data = load(f"folder:{root}")
    assert data.unused == {"images outside the class folders": 1}
    assert sum(sizes(data).values()) == 8


def test_numbered_classes_are_in_the_order_of_their_numbers(make_folder, load):
    root = make_folder({str(number): 4 for number in range(12)})
    assert load(f"folder:{root}").class_names == tuple(map(str, range(12)))
    assert load(f"folder:{root}", classes=3).class_names == ("0", "1", "2")


def test_accents_are_compared_however_they_are_encoded(make_folder, load):
    root = make_folder({f"train/{NFD}": 6, "train/b": 6, f"test/{NFC}": 4, "test/b": 4})
    data = load(f"folder:{root}")
    assert data.class_names == ("b", NFC)
    assert load(f"folder:{root}", classes=("b", NFD)).class_names == ("b", NFC)


def test_two_folders_that_look_alike_are_refused(make_folder, load):
    with pytest.raises(DataError, match="two folders named 'café', which differ in how accents"):
        load(f"folder:{make_folder({NFC: 4, NFD: 4})}")


def test_names_that_are_not_utf8_are_shown_escaped(make_folder, load):
    root = make_folder({"a": 6, "b": 6})
    os.rename(root / "b", os.fsencode(root) + b"/\xb9\xb7")  # noqa: PTH104 (bytes)
    assert load(f"folder:{root}").class_names == (r"\xb9\xb7", "a")


def test_a_link_that_leads_back_ends(make_folder, load):
    root = make_folder({"cat": 4, "dog": 4})
    (root / "circle").mkdir()
    (root / "circle/circle").symlink_to(root / "circle")
    with pytest.raises(DataError, match=r"No images in .* for circle"):
        load(f"folder:{root}")


def save(path: Path, side: int, height: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (height or side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(("side", "stored"), [(8, 8), (16, 16), (40, 16)])
def test_images_of_one_size_are_stored_at_what_the_run_needs(tmp_path, load, side, stored):
    for label in CLASSES:
        for index in range(4):
            save(tmp_path / label / f"{index}.png", side)
    data = load(f"folder:{tmp_path}", image_size=16)
    assert data.shape == (stored, stored, 3)
    assert (data.train.pool.resize == "") == (side <= 16)


def test_numbered_folders_without_one_for_training_are_classes(make_folder, load):
    root = make_folder({"test1": 4, "test2": 4, "test10": 4})
    assert load(f"folder:{root}").class_names == ("test1", "test2", "test10")


def test_pointers_of_git_lfs_are_named(make_folder, load):
    root = make_folder({"cat": 4, "dog": 4})
    (root / "cat/000.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(DataError, match=r"cat/000.png \(a pointer of Git LFS .*: run git lfs pull\)"):
        load(f"folder:{root}")


@pytest.mark.parametrize(
    ("counts_of", "folder", "way_out"),
    [
        ({"images": 6, "masks": 6}, "", "none"),
        ({"Imgs": 6, "Ground_Truth": 6}, "", "none"),
        ({"train/images": 6, "train/labels": 6, "val/images": 2, "val/labels": 2}, "/train",
         "train=train,validation=val"),
        ({"images/train": 6, "images/val": 6, "labels/train": 6, "labels/val": 6}, "", "none"),
    ],
)  # fmt: skip
def test_images_beside_their_annotations_are_no_classes(make_folder, load, counts_of, folder, way_out):
    root = make_folder(counts_of)
    with pytest.raises(DataError, match=r"look like images and their annotations, not like classes") as caught:
        load(f"folder:{root}")
    assert f" in {root}{folder} look" in str(caught.value)
    assert f"`--data.split_folders {way_out}`" in str(caught.value)


def test_images_and_masks_are_classes_where_the_user_says_so(make_folder, load):
    root = make_folder({"images": 6, "masks": 6})
    assert load(f"folder:{root}", split_folders="none").class_names == ("images", "masks")


def test_a_table_says_what_images_beside_masks_show(make_folder, load):
    root = make_folder({"images": 8, "masks": 8})
    names = sorted(path.name for path in (root / "images").iterdir())
    rows = [f"images/{name},{'dog' if row % 2 else 'cat'}" for row, name in enumerate(names)]
    (root / "labels.csv").write_text("\n".join(["file,label", *rows]))
    data = load(f"folder:{root}")
    assert data.class_names == CLASSES
    assert data.unused == {"images that the table does not name": 8}


def test_folders_inside_those_of_classes_are_told(make_folder, load):
    data = load(f"folder:{make_folder({'cat/persian': 3, 'cat/siamese': 3, 'dog': 6})}")
    assert data.class_names == CLASSES
    assert (
        "6 images in folders inside those of the classes, such as cat/persian/ of cat: the outer folder is the class."
        in data.warnings
    )
