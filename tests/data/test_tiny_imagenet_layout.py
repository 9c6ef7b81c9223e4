"""Tiny ImageNet as people have it: stray images, half-moved validation images, lists that do not agree."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybench.core.count_text import describe_count
from tinybench.core.errors import DataError
from tinybench.data import tiny_imagenet_layout
from tinybench.data.summary import summarize_dataset

WNIDS = ["n02", "n01", "n10"]


class Files:
    """A tree of files in memory."""

    def __init__(self, content):
        self.content, self.names = content, sorted(content)

    def read(self, name):
        return self.content[name]


@pytest.fixture
def image(encode):
    """Write a random image, or several, below the data set."""
    generator = np.random.default_rng(5)

    def write(root, *names):
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(encode(generator.integers(0, 256, (64, 64, 3), np.uint8), "JPEG"))

    return write


@pytest.fixture
def root(tmp_path, image):
    """Three classes of 4 training and 2 validation images in the official layout."""
    folder = tmp_path / "tiny-imagenet-200"
    lines = []
    for label, wnid in enumerate(WNIDS):
        image(folder, *(f"train/{wnid}/images/{wnid}_{index}.JPEG" for index in range(4)))
        image(folder, *(f"val/images/val_{index}.JPEG" for index in (label, label + 3)))
        lines += [f"val_{index}.JPEG\t{wnid}\t0\t0\t63\t63" for index in (label, label + 3)]
    (folder / "val/val_annotations.txt").write_text("\n".join(lines))
    (folder / "wnids.txt").write_text("\n".join(WNIDS))
    return folder


def counts_of(data):
    train = np.bincount(np.concatenate([data.train.labels, data.validation.labels]))
    return train.tolist(), np.bincount(data.test.labels).tolist()


def not_used(data):
    return [warning.partition(": ")[2] for warning in data.warnings if warning.startswith("Not used")]


PLACES = {
    "beside.JPEG": "images beside train/ and val/",
    "backup/n01/images/n01_0.JPEG": "images beside train/ and val/",
    "train/loose.JPEG": "images in train/, in no class folder",
    "train/n01/n01_9.JPEG": "images in a class folder of train/, beside its images/",
    "train/n01/images/old/n01_9.JPEG": "images deeper than train/<class>/images/",
    "train/n77/images/n77_0.JPEG": "images in folders of train/ that are no class of wnids.txt",
    "val/loose.JPEG": "images in val/ without a class",
    "val/images/val_99.JPEG": "images in val/ without a class",
    "val/n77/val_99.JPEG": "images in val/ without a class",
    "train/n01/images/n01_9.tga": "files other than images",
}


@pytest.mark.parametrize("name", PLACES)
def test_an_image_out_of_place_is_not_used_and_told(root, image, load, name):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    image(root, "any.JPEG")
    (root / "any.JPEG").rename(root / name)
    data = load("tiny-imagenet", root=root.parent)
    assert counts_of(data) == ([4, 4, 4], [2, 2, 2])
    assert not_used(data) == [f"{describe_count(1, PLACES[name])}, such as {name}."]
    assert summarize_dataset(data)["unused"] == {PLACES[name]: 1}


def test_reasons_are_in_one_note(root, image, load):
    image(root, "a.JPEG", "b.JPEG", "train/c.JPEG")
    (note,) = not_used(load("tiny-imagenet", root=root))
    assert note == (
        "2 images beside train/ and val/, such as a.JPEG; 1 image in train/, in no class folder, such as train/c.JPEG."
    )


@pytest.mark.parametrize(
    "name", ["train/.n01.JPEG", "@eaDir/a.JPEG", "train/n01/images/Thumbs.db", "test/images/test_0.JPEG"]
)
def test_what_systems_leave_and_unlabelled_test_images_are_not_told(root, image, load, name):
    image(root, name)
    data = load("tiny-imagenet", root=root)
    assert counts_of(data) == ([4, 4, 4], [2, 2, 2])
    assert not_used(data) == []


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".Jpeg", ".jfif"])
def test_converted_images_are_used(root, load, encode, suffix):
    for path in [*root.rglob("*.JPEG")]:
        path.write_bytes(encode(np.full((64, 64, 3), 9, np.uint8), "PNG" if suffix == ".png" else "JPEG"))
        path.rename(path.with_suffix(suffix))
    lines = (root / "val/val_annotations.txt").read_text().replace(".JPEG", suffix)
    (root / "val/val_annotations.txt").write_text(lines)
    assert counts_of(load("tiny-imagenet", root=root)) == ([4, 4, 4], [2, 2, 2])


def test_validation_images_copied_into_class_folders_count_once(root, load):
    for line in (root / "val/val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        (root / "val" / wnid / "images").mkdir(parents=True, exist_ok=True)
        (root / "val" / wnid / "images" / name).write_bytes((root / "val/images" / name).read_bytes())
    data = load("tiny-imagenet", root=root)
    assert counts_of(data) == ([4, 4, 4], [2, 2, 2])
    assert not_used(data) == ["6 images of val/ that are in its class folders as well, such as val/images/val_0.JPEG."]


def test_annotations_of_absent_images_are_told(root, load):
    (root / "val/images/val_0.JPEG").unlink()
    data = load("tiny-imagenet", root=root)
    assert counts_of(data)[1] == [1, 2, 2]
    assert "val/val_annotations.txt names images that are not there: 1, such as val_0.JPEG." in data.warnings


def test_annotations_with_an_unknown_class_are_told(root, image, load):
    image(root, "val/images/val_9.JPEG")
    with (root / "val/val_annotations.txt").open("a") as file:
        file.write("\nval_9.JPEG\tn77\t0\t0\t63\t63\n")
    data = load("tiny-imagenet", root=root)
    assert not_used(data) == ["1 image in val/ without a class, such as val/images/val_9.JPEG."]


def test_annotations_that_contradict_themselves_are_an_error(root, load):
    with (root / "val/val_annotations.txt").open("a") as file:
        file.write("\nval_0.JPEG\tn10\t0\t0\t63\t63\n")
    with pytest.raises(DataError, match=r"val_annotations\.txt gives 'val_0\.JPEG' two classes, n02 and n10") as caught:
        load("tiny-imagenet", root=root)
    assert "\n" not in str(caught.value)


def test_lists_with_a_mark_and_windows_line_ends_are_read(root, load):
    for name in ("wnids.txt", "val/val_annotations.txt"):
        text = (root / name).read_text().replace("\n", "\r\n")
        (root / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    data = load("tiny-imagenet", root=root)
    assert data.class_names == tuple(WNIDS)
    assert counts_of(data) == ([4, 4, 4], [2, 2, 2])


@pytest.mark.parametrize("name", ["wnids.txt", "val/val_annotations.txt", "words.txt"])
def test_a_list_that_is_no_text_is_an_error(root, load, name):
    (root / name).write_bytes(b"\xff\xfe\x00n01")
    with pytest.raises(DataError, match=rf"{name} .*is not text in UTF-8") as caught:
        load("tiny-imagenet", root=root)
    assert "\n" not in str(caught.value)


def test_classes_of_the_list_without_images_are_not_used(root, load):
    (root / "wnids.txt").write_text("\n".join(["n00", *WNIDS, *(f"n9{index}" for index in range(6))]))
    data = load("tiny-imagenet", root=root)
    assert data.class_names == tuple(WNIDS)
    (note,) = data.warnings
    assert "12 of the 100,000 training images, 6 of the 10,000 test images and 3 of the 200 classes" in note


def test_images_out_of_place_make_no_class_where_there_is_no_list(root, image, load):
    (root / "wnids.txt").unlink()
    image(root, "train/loose.JPEG", "top.JPEG")
    assert load("tiny-imagenet", root=root).class_names == ("n01", "n02", "n10")


def test_folders_that_are_all_unknown_are_an_error_with_the_reason(root, load):
    (root / "wnids.txt").write_text("n55\nn66\n")
    with pytest.raises(DataError, match=r"No train images in .*12 images in folders of train/ that are no class of"):
        load("tiny-imagenet", root=root)


def test_a_name_that_is_not_text_is_shown_escaped(root, image, load):
    image(root, os.fsdecode(b"caf\xe9.JPEG"))
    data = load("tiny-imagenet", root=root)
    assert not_used(data) == [r"1 image beside train/ and val/, such as caf\xe9.JPEG."]


PARTS = ["train", "val", "test", "images", "n01", "n02", "n77", ".hidden"]
FILES = ["n01_0.JPEG", "val_0.JPEG", "val_1.JPEG", "x.png", "notes.txt", "x.tga"]


@given(
    st.sets(
        st.tuples(st.lists(st.sampled_from(PARTS), max_size=4), st.sampled_from(FILES)).map(
            lambda it: "/".join([*it[0], it[1]])
        ),
        max_size=25,
    ),
    st.booleans(),
    st.dictionaries(st.sampled_from(FILES), st.sampled_from(["n01", "n02", "n77"])),
)
def test_every_image_of_any_tree_is_labelled_or_not_used_once(names, listed, annotations):
    lists = {"wnids.txt": b"n01\nn02\n"} if listed else {}
    lists["val/val_annotations.txt"] = "\n".join("\t".join(pair) for pair in annotations.items()).encode()
    tree = Files({**dict.fromkeys(names, b""), **lists})
    labelled = tiny_imagenet_layout.label_names(tree)
    used = [name for _, name in labelled.train + labelled.val]
    told = [name for names in labelled.unused.values() for name in names]
    silent = set(names) - set(used) - set(told)
    assert sorted([*used, *told]) == sorted({*used, *told})
    assert all(name.endswith((".txt", ".tga")) or name.startswith("test/") for name in silent)
    for label, name in labelled.train:
        assert name.split("/")[1] == labelled.wnids[label]
    for label, name in labelled.val:
        assert labelled.wnids[label] in (name.split("/")[1], annotations.get(name.split("/")[-1]))
    assert "\n" not in "".join(labelled.warnings())
