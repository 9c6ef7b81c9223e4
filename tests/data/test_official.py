"""What official data sets tell when the files are not all of the official ones."""

import dataclasses
import tarfile
import zipfile

import numpy as np
import pytest

from tinybench.data import official
from tinybench.data.dataset import DatasetCard, ImagePool, RawDataset
from tinybench.data.locate import LocatedFiles
from tinybench.data.summary import summarize_dataset

NOT_COMPARABLE = "scores are not comparable with published figures."


def make_raw(train, test, names) -> RawDataset:
    def pool(labels):
        return ImagePool(
            np.zeros((len(labels), 2, 2, 1), np.uint8), np.array(labels, np.int32), np.zeros(len(labels), "S16")
        )

    return RawDataset(pool(train), pool(test), tuple(names), "f" * 64, "here")


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ([0, 0, 1, 1], [0, 1], ()),
        ([0, 1], [0, 1], ("2 of the 4 training images",)),
        ([0, 1], [0], ("2 of the 4 training images and 1 of the 2 test images",)),
        ([0, 0], [0, 0], ("2 of the 4 training images and 1 of the 2 classes",)),
        ([0] * 5 + [1], [], ("6 instead of 4 training images and 0 of the 2 test images",)),
    ],
)
def test_counts_are_compared_with_the_card(tmp_path, train, test, expected):
    raw = make_raw(train, test, [f"class{label}" for label in range(len(set(train)))])
    warnings = official.warn_of_differences(DatasetCard("x", "", 2, 4, 2), raw, LocatedFiles(tmp_path, {}))
    assert warnings == tuple(f"{tmp_path} has {counts}: {NOT_COMPARABLE}" for counts in expected)


def test_an_unknown_number_is_not_compared(tmp_path):
    raw = make_raw([0, 1], [0, 1], ["a", "b"])
    assert official.warn_of_differences(DatasetCard("x", ""), raw, LocatedFiles(tmp_path, {})) == ()


def test_classes_without_training_images_are_left_out_with_their_test_images():
    raw = make_raw([1, 3, 3], [0, 1, 2, 3], ["a", "b", "c", "d"])
    raw = dataclasses.replace(raw, superclasses=("", "one", "", "two"))
    present = official.leave_out_empty_classes(raw)
    assert present.class_names == ("b", "d")
    assert present.superclasses == ("one", "two")
    assert present.train.labels.tolist() == [0, 1, 1]
    assert present.test.labels.tolist() == [0, 1]
    assert present.unused == {"test images of classes without training images": 2}
    assert present.warnings == ("Not used: 2 test images of classes without training images.",)
    assert len(present.test.images) == len(present.test.digests) == 2


def test_some_of_five_batches_are_told_in_one_note_that_the_record_keeps(tmp_path, load, make_cifar10):
    folder = make_cifar10(tmp_path / "cifar-10-batches-py", batches=(1, 4))
    data = load("cifar10", root=tmp_path)
    note = f"{folder} has 40 of the 50,000 training images and 20 of the 10,000 test images: {NOT_COMPARABLE}"
    assert data.warnings == (note,)
    assert summarize_dataset(data)["warnings"] == (note,)
    assert summarize_dataset(data)["unused"] == {}


def test_another_archive_is_told_in_the_same_note(tmp_path, load, make_cifar10):
    folder = make_cifar10(tmp_path / "made/cifar-10-batches-py")
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, folder.name)
    (note,) = load("cifar10", root=tmp_path).warnings
    assert note.startswith(f"{archive} is not the official cifar-10-python.tar.gz but a different archive")
    assert note.endswith(
        f", and has 100 of the 50,000 training images and 20 of the 10,000 test images: {NOT_COMPARABLE}"
    )


def test_some_classes_of_cifar10_are_numbered_anew(tmp_path, load, make_cifar10):
    make_cifar10(tmp_path / "cifar-10-batches-py", classes=3)
    data = load("cifar10", root=tmp_path)
    assert data.class_names == ("class0", "class1", "class2")
    assert "3 of the 10 classes" in data.warnings[0]


@pytest.mark.parametrize(("labels", "classes"), [("fine", 7), ("coarse", 2)])
def test_some_classes_of_cifar100_keep_their_superclasses(tmp_path, load, make_cifar100, labels, classes):
    make_cifar100(tmp_path / "cifar-100-python", classes=7)
    data = load("cifar100", root=tmp_path, labels=labels)
    assert len(data.class_names) == classes
    assert data.superclasses == (() if labels == "coarse" else ("coarse00",) * 5 + ("coarse01",) * 2)
    assert "28 of the 50,000 training images, 28 of the 10,000 test images and 7 of the 100 classes" in data.warnings[0]


def test_some_digits_of_mnist(tmp_path, load):
    labels = np.array([1, 7] * 10, np.uint8)
    arrays = {"x_train": np.zeros((20, 28, 28), np.uint8), "y_train": labels}
    arrays |= {"x_test": np.ones((20, 28, 28), np.uint8), "y_test": labels}
    np.savez(tmp_path / "mnist.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "mnist.npz") as archive:
        archive.extractall(tmp_path / "unpacked/mnist")
    packed, unpacked = load("mnist", root=tmp_path), load("mnist", root=tmp_path / "unpacked")
    assert packed.class_names == unpacked.class_names == ("1", "7")
    counts = "has 20 of the 60,000 training images, 20 of the 10,000 test images and 2 of the 10 classes"
    assert f", and {counts}: " in packed.warnings[0]
    assert unpacked.warnings == (f"{tmp_path / 'unpacked/mnist'} {counts}: {NOT_COMPARABLE}",)
