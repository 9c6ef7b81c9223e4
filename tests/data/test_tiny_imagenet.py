"""Tiny ImageNet: packed, unpacked and reorganised give the same pictures."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tinybench.core.errors import DataError

WNIDS = ["n02", "n01", "n10"]
WORDS = "n01\tcrane, bird\nn02\tcat, house cat\nn10\tcrane, machine\nn11\tunused\n"


@pytest.fixture
def unpacked(tmp_path, encode):
    """Three classes of 12 training and 2 validation pictures, the second of each class gray."""
    generator = np.random.default_rng(0)
    root = tmp_path / "data" / "tiny-imagenet-200"
    (root / "val/images").mkdir(parents=True)
    annotations = []
    for label, wnid in enumerate(WNIDS):
        (root / "train" / wnid / "images").mkdir(parents=True)
        for index in range(12):
            shape = (64, 64) if index == 1 else (64, 64, 3)
            picture = encode(generator.integers(0, 256, shape, np.uint8), "JPEG")
            (root / "train" / wnid / "images" / f"{wnid}_{index}.JPEG").write_bytes(picture)
        for index in (label, label + 10):
            picture = encode(generator.integers(0, 256, (64, 64, 3), np.uint8), "JPEG")
            (root / "val/images" / f"val_{index}.JPEG").write_bytes(picture)
            annotations.append(f"val_{index}.JPEG\t{wnid}\t0\t0\t63\t63")
    (root / "val/val_annotations.txt").write_text("\n".join(annotations))
    (root / "wnids.txt").write_text("\n".join(WNIDS))
    (root / "words.txt").write_text(WORDS)
    return root


def pack(root, path):
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted(root.rglob("*.*")):
            file.write(member, member.relative_to(root.parent))
    return path


def reorganise(root):
    """train/<label>/*.JPEG and val/<label>/*.JPEG, as many tutorials make it."""
    labels = dict(line.split("\t")[:2] for line in (root / "val/val_annotations.txt").read_text().splitlines())
    for wnid in WNIDS:
        (root / "val" / wnid).mkdir()
        for path in (root / "train" / wnid / "images").iterdir():
            path.rename(root / "train" / wnid / path.name)
        (root / "train" / wnid / "images").rmdir()
    for name, wnid in labels.items():
        (root / "val/images" / name).rename(root / "val" / wnid / name)
    shutil.rmtree(root / "val/images")
    (root / "val/val_annotations.txt").unlink()


def test_labels_names_and_order(unpacked, load):
    data = load("tiny-imagenet", root=unpacked.parent)
    assert data.class_names == ("cat", "crane (n01)", "crane (n10)")
    assert data.train.pool.labels.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    assert data.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    gray = (np.ptp(data.train.pool.images, axis=3) == 0).all(axis=(1, 2))
    assert np.flatnonzero(gray).tolist() == [1, 13, 25]


def test_every_layout_gives_the_same(unpacked, load, tmp_path):
    (tmp_path / "packed").mkdir()
    pack(unpacked, tmp_path / "packed/tiny-imagenet-200.zip")
    packed = load("tiny-imagenet", root=tmp_path / "packed")
    plain, inside = load("tiny-imagenet", root=unpacked.parent), load("tiny-imagenet", root=unpacked)
    reorganise(unpacked)
    moved = load("tiny-imagenet", root=unpacked.parent)
    assert len({data.split_hash for data in (packed, plain, inside, moved)}) == 1
    assert plain.fingerprint == inside.fingerprint == moved.fingerprint != packed.fingerprint
    assert packed.class_names == moved.class_names


def test_without_lists_labels_are_the_sorted_folders(unpacked, load):
    reorganise(unpacked)
    (unpacked / "wnids.txt").unlink()
    (unpacked / "words.txt").unlink()
    assert load("tiny-imagenet", root=unpacked).class_names == ("n01", "n02", "n10")


def test_validation_without_labels_is_an_error(unpacked, load):
    (unpacked / "val/val_annotations.txt").unlink()
    with pytest.raises(DataError, match=r"No val images in .*val/val_annotations\.txt"):
        load("tiny-imagenet", root=unpacked)


def test_corrupt_image_is_named_then_skipped(unpacked, load):
    (unpacked / "train/n01/images/n01_3.JPEG").write_text("text")
    (unpacked / "val/images/val_0.JPEG").write_text("text")
    with pytest.raises(DataError, match=r"2 corrupt image\(s\): train/n01/images/n01_3\.JPEG .*val/images/val_0"):
        load("tiny-imagenet", root=unpacked)
    data = load("tiny-imagenet", root=unpacked, skip_corrupt=True)
    assert len(data.train.pool.labels) == 35
    assert len(data.test) == 5


def test_image_of_another_size_is_corrupt(unpacked, load, encode):
    (unpacked / "train/n01/images/n01_3.JPEG").write_bytes(encode(np.zeros((32, 64, 3), np.uint8), "JPEG"))
    with pytest.raises(DataError, match="64 x 32, not 64 x 64"):
        load("tiny-imagenet", root=unpacked)


def test_archive_that_leads_outside_is_refused(unpacked, load, tmp_path):
    path = pack(unpacked, tmp_path / "tiny-imagenet-200.zip")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("tiny-imagenet-200/../../evil.txt", "x")
    with pytest.raises(DataError, match=r"evil\.txt' leads out of the archive"):
        load("tiny-imagenet", root=tmp_path)
    assert not list(Path(tmp_path).rglob("evil.txt"))


def test_real_subset_has_its_gray_images_as_rgb(real):
    data = real("tiny-imagenet", classes=20)
    assert data.class_names[:2] == ("Egyptian cat", "reel")
    pixels = data.train.pool.images[::10]
    gray = (np.ptp(pixels, axis=3) == 0).all(axis=(1, 2)).mean()
    assert 0.005 < gray < 0.04
    # The published channel means of the full set.
    assert np.abs(pixels.mean(axis=(0, 1, 2)) / 255 - (0.4802, 0.4481, 0.3975)).max() < 0.01
