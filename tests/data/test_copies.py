"""Copies of official data sets as people have them: where other libraries put them, nested, and packed anew."""

import gzip
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tinybench.core.errors import DataError, MissingDataError
from tinybench.data import copies

MNIST_LABELS = {"train": [0, 1] * 10, "t10k": [0, 1] * 2}


@pytest.fixture
def make_idx():
    """Write MNIST's four idx files."""

    def make(folder: Path, *, dot=False, packed=False, seed=0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for prefix, labels in MNIST_LABELS.items():
            images = np.random.default_rng(seed).integers(0, 256, (len(labels), 28, 28), np.uint8)
            for values, array in (("images", images), ("labels", np.array(labels, np.uint8))):
                data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
                name = f"{prefix}-{values}{'.' if dot else '-'}idx{array.ndim}-ubyte{'.gz' if packed else ''}"
                (folder / name).write_bytes(gzip.compress(data) if packed else data)
        return folder

    return make


@pytest.fixture
def make_tiny(encode):
    """Write two classes of Tiny ImageNet."""

    def make(folder: Path) -> Path:
        for wnid, level in (("n01", 10), ("n02", 200)):
            for name in (
                f"train/{wnid}/images/{wnid}_0.JPEG",
                f"train/{wnid}/images/{wnid}_1.JPEG",
                f"val/{wnid}/a.JPEG",
            ):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(encode(np.full((64, 64, 3), level, np.uint8), "JPEG"))
        return folder

    return make


def pack(folder: Path, path: Path, top: str) -> Path:
    """Pack the files of a folder below another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for member in filter(Path.is_file, sorted(folder.rglob("*"))):
                file.write(member, f"{top}{member.relative_to(folder)}")
    else:
        with tarfile.open(path, {".tar": "w", ".xz": "w:xz"}.get(path.suffix, "w:gz")) as file:
            file.add(folder, top or ".")
    return path


FOLDERS = {
    "cifar-10-batches-py": "as torchvision has it",
    "": "the folder itself",
    "cifar-10-batches-py-target/cifar-10-batches-py": "as Keras 3 has it",
    "data/cifar-10-batches-py": "in a folder for data",
    "cifar10/cifar-10-batches-py": "one folder for each data set",
    "cifar-10-batches-py/cifar-10-batches-py": "unpacked twice",
    "data/CIFAR10/raw/cifar-10-batches-py": "deeper",
    "cifar-10-python/any/name": "unpacked into a folder named by the archive",
}


@pytest.mark.parametrize("place", FOLDERS)
def test_cifar10_is_found_in(tmp_path, load, make_cifar10, place):
    folder = make_cifar10(tmp_path / "root" / place)
    data = load("cifar10", root=tmp_path / "root")
    assert data.origin == str(folder)
    assert len(data.test) == 20


@pytest.mark.parametrize(
    "place", ["cifar-100-python", "cifar-100-python-target/cifar-100-python", "data/cifar-100-python", "cifar100"]
)
def test_cifar100_is_found_in(tmp_path, load, make_cifar100, make_cifar10, place):
    make_cifar10(tmp_path / "cifar-10-batches-py-target/cifar-10-batches-py")
    folder = make_cifar100(tmp_path / place)
    assert load("cifar100", root=tmp_path).origin == str(folder)


@pytest.mark.parametrize("place", ["MNIST/raw", "mnist", "", "raw_data/MNIST/raw", "mnist/MNIST/raw", "mnist-dataset"])
@pytest.mark.parametrize("form", [{}, {"dot": True}, {"packed": True}, {"dot": True, "packed": True}])
def test_idx_files_of_mnist_are_found_in(tmp_path, load, make_idx, place, form):
    folder = make_idx(tmp_path / place, **form)
    data = load("mnist", root=tmp_path)
    assert data.origin == str(folder)
    assert data.test.labels.tolist() == MNIST_LABELS["t10k"]
    expected = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
    assert np.array_equal(data.test.images()[..., 0], expected)


@pytest.mark.parametrize("place", ["tiny-imagenet-200/tiny-imagenet-200", "data/tiny-imagenet", "tiny_imagenet/x/y"])
def test_tiny_imagenet_is_found_in(tmp_path, load, make_tiny, place):
    folder = make_tiny(tmp_path / place)
    make_tiny(tmp_path / "other-photos")  # train/ and val/ of something else
    assert load("tiny-imagenet", root=tmp_path).origin == str(folder)


ARCHIVES = ["cifar10.zip", "cifar-10-batches-py.tar.gz", "CIFAR-10.tgz", "data/cifar-10.tar", "cifar_10 (1).tar.xz"]


@pytest.mark.parametrize("top", ["cifar-10-batches-py/", "", "a/b/"])
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_under_another_name_is_read(tmp_path, load, make_cifar10, name, top):
    folder = make_cifar10(tmp_path / "made")
    archive = pack(folder, tmp_path / "root" / name, top)
    data = load("cifar10", root=tmp_path / "root")
    assert data.origin == str(archive)
    assert "is not the official cifar-10-python.tar.gz but a different archive of the same layout" in data.warnings[0]
    assert load("cifar10", root=archive).split_hash == data.split_hash


def test_the_official_archive_is_taken_under_any_name(tmp_path, load, make_cifar10, monkeypatch):
    import dataclasses

    from tinybench.core.hashing import hash_file
    from tinybench.data import cifar

    folder = make_cifar10(tmp_path / "root/cifar-10-batches-py-target/cifar-10-batches-py")
    archive = pack(folder, tmp_path / "root/cifar-10-batches-py-target_archive", "cifar-10-batches-py")
    assert load("cifar10", root=tmp_path / "root").origin == str(folder)
    published = dataclasses.replace(cifar.CIFAR10.official, known_hash=f"sha256:{hash_file(archive, 'sha256')}")
    monkeypatch.setattr(cifar, "CIFAR10", dataclasses.replace(cifar.CIFAR10, official=published))
    assert load("cifar10", root=tmp_path / "root").origin == str(archive)


def test_two_copies_are_told_and_can_be_named(tmp_path, load, make_cifar10):
    first, second = make_cifar10(tmp_path / "a/cifar10"), make_cifar10(tmp_path / "b/cifar10")
    with pytest.raises(DataError, match=r"There are 2 copies of cifar10 in .*a/cifar10.*b/cifar10.*`--data\.root"):
        load("cifar10", root=tmp_path)
    assert load("cifar10", root=second).origin == str(second)
    pack(first, tmp_path / "c/cifar10.zip", "")
    pack(first, tmp_path / "c/cifar-10.tar", "")
    with pytest.raises(DataError, match=r"There are 2 copies of cifar10 in .*cifar-10\.tar.*cifar10\.zip"):
        load("cifar10", root=tmp_path / "c")
    assert load("cifar10", root=tmp_path / "c/cifar10.zip").origin.endswith("cifar10.zip")


def test_a_link_to_a_copy_is_no_second_copy(tmp_path, load, make_cifar10):
    make_cifar10(tmp_path / "b/cifar10")
    (tmp_path / "cifar10").symlink_to(tmp_path / "b/cifar10")
    assert len(load("cifar10", root=tmp_path).test) == 20


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_the_cache_of_the_installed_keras_is_read(tmp_path, load, make_cifar10, make_cifar100, dataset):
    import keras

    made, official, target = {
        "cifar10": (make_cifar10, "cifar-10-batches-py", "cifar-10-batches-py-target"),
        "cifar100": (make_cifar100, "cifar-100-python", "cifar-100-python-target"),
    }[dataset]
    archive = pack(made(tmp_path / "made"), tmp_path / "published.tar.gz", official)
    (tmp_path / ".keras").mkdir()  # Keras writes elsewhere if it is not there
    # As keras.datasets calls it, but for the address
    keras.utils.get_file(fname=target, origin=archive.as_uri(), extract=True, cache_dir=tmp_path / ".keras")
    assert (tmp_path / f".keras/datasets/{target}_archive").is_file()
    assert load(dataset, root=tmp_path / ".keras/datasets").origin.endswith(f"{target}/{official}")


def test_labels_that_are_arrays_are_read(tmp_path, load, make_cifar10):
    folder = make_cifar10(tmp_path / "cifar-10-batches-py")
    before = load("cifar10", root=tmp_path).split_hash
    for path in folder.glob("*_batch*"):
        content = pickle.loads(path.read_bytes())
        path.write_bytes(pickle.dumps(content | {"labels": np.array(content["labels"])}, 4))
    assert load("cifar10", root=tmp_path).split_hash == before


def test_two_copies_in_an_archive_are_told(tmp_path, load, make_cifar10):
    make_cifar10(tmp_path / "made/a"), make_cifar10(tmp_path / "made/b")
    pack(tmp_path / "made", tmp_path / "cifar10.tar", "all")
    with pytest.raises(DataError, match=r"cifar10\.tar has several copies of the data set, in all/a, all/b"):
        load("cifar10", root=tmp_path)


def test_what_bears_the_name_without_the_files_is_told(tmp_path, load):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin/data_batch_1.bin").write_bytes(b"x")
    with pytest.raises(MissingDataError, match="cifar-10-batches-bin bears its name, but does not have the files"):
        load("cifar10", root=tmp_path)


def test_an_archive_that_bears_the_name_without_the_files_is_told(tmp_path, load):
    with zipfile.ZipFile(tmp_path / "cifar-10-binary.zip", "w") as file:
        file.writestr("cifar-10-batches-bin/data_batch_1.bin", b"x")
    with pytest.raises(MissingDataError, match=r"cifar-10-binary\.zip bears its name, but does not have the files"):
        load("cifar10", root=tmp_path)


def test_a_damaged_archive_under_another_name_is_told(tmp_path, load):
    (tmp_path / "cifar10.zip").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataError, match=r"cifar10\.zip is damaged, cut short or not an archive"):
        load("cifar10", root=tmp_path)


@pytest.mark.parametrize(
    "place", ["fashion-mnist", "FashionMNIST/raw", "KMNIST/raw", "data/EMNIST/raw", "mnist/QMNIST/raw"]
)
def test_similar_data_sets_are_not_mnist(tmp_path, load, make_idx, place):
    folder = make_idx(tmp_path / place)
    with pytest.raises(MissingDataError, match="There is no mnist in"):
        load("mnist", root=tmp_path)
    with pytest.raises(MissingDataError, match=rf"There is no mnist in .*\. {folder} is another data set by its name"):
        load("mnist", root=folder)
    real = make_idx(tmp_path / "MNIST/raw", seed=1)
    assert load("mnist", root=tmp_path).origin == str(real)


def test_idx_files_of_the_whole_mnist_give_what_the_archive_gives(tmp_path, real_data, load):
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    with np.load(real_data / "mnist.npz") as arrays:
        for values, axis in (("images", "x"), ("labels", "y")):
            for prefix, split in (("train", "train"), ("t10k", "test")):
                array = arrays[f"{axis}_{split}"]
                header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
                path = tmp_path / f"MNIST/raw/{prefix}-{values}-idx{array.ndim}-ubyte.gz"
                path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), 1))
    data = load("mnist", root=tmp_path)
    assert data.split_hash == load("mnist", root=real_data).split_hash
    assert data.warnings == ()  # it is complete


def test_idx_files_beside_their_packed_copies_are_read_once(tmp_path, load, make_idx):
    make_idx(tmp_path / "MNIST/raw")
    make_idx(tmp_path / "MNIST/raw", packed=True)
    assert len(load("mnist", root=tmp_path).test) == 4
    make_idx(tmp_path / "MNIST/raw", packed=True, seed=1)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte and train-images-idx3-ubyte\.gz in .* differ"):
        load("mnist", root=tmp_path)


def test_idx_files_in_folders_of_the_same_name_are_read(tmp_path, load, make_idx):
    for path in [*make_idx(tmp_path / "made").iterdir()]:
        (tmp_path / "mnist" / path.name).mkdir(parents=True)
        (tmp_path / "mnist" / path.name / path.name).write_bytes(path.read_bytes())
    assert len(load("mnist", root=tmp_path).test) == 4
    archive = pack(tmp_path / "mnist", tmp_path / "packed/mnist.tar", "")
    assert load("mnist", root=tmp_path / "packed").origin == str(archive)


def test_an_idx_file_that_is_absent_is_named(tmp_path, load, make_idx):
    (make_idx(tmp_path / "mnist") / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="mnist has no t10k-labels-idx1-ubyte, packed by gzip or not"):
        load("mnist", root=tmp_path)


def test_labels_of_another_length_are_refused(tmp_path, load, make_idx):
    folder = make_idx(tmp_path / "mnist")
    (folder / "train-labels-idx1-ubyte").write_bytes((folder / "t10k-labels-idx1-ubyte").read_bytes())
    with pytest.raises(DataError, match="wrong train shapes"):
        load("mnist", root=tmp_path)


def test_an_npz_with_other_arrays_names_those_that_are_missing(tmp_path, load):
    np.savez(tmp_path / "mnist.npz", training_images=np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(DataError, match=r"mnist\.npz is not MNIST's archive .*x_train\.npy"):
        load("mnist", root=tmp_path)


@pytest.mark.parametrize("content", [b"", b"text", gzip.compress(b"no tar", mtime=0), b"\x28\xb5\x2f\xfd zstd"])
def test_a_root_that_is_no_archive_is_told(tmp_path, load, content):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"`data\.root` is the file .*, which is no \.zip or \.tar: name a folder"):
        load("mnist", root=path)


def test_an_npz_under_another_name_is_read(tmp_path, load):
    arrays = {"x_train": np.zeros((20, 28, 28), np.uint8), "y_train": np.arange(20) % 10}
    np.savez(tmp_path / "MNIST_data.npz", **arrays, x_test=arrays["x_train"], y_test=arrays["y_train"])
    assert load("mnist", root=tmp_path).origin == str(tmp_path / "MNIST_data.npz")


def test_other_files_beside_batches_are_no_batches(tmp_path, load, make_cifar10, make_cifar100):
    folder = make_cifar10(tmp_path / "cifar-10-batches-py")
    (folder / "data_batch_1 (1)").write_bytes((folder / "data_batch_1").read_bytes())
    (folder / "data_batch_2.bak").write_bytes(b"no pickle")
    data = load("cifar10", root=tmp_path)
    assert len(data.train.pool.labels) == 100
    assert "Not used: 2 files named like a training batch, such as data_batch_1 (1)." in data.warnings
    folder = make_cifar100(tmp_path / "cifar-100-python")
    (folder / "train.txt").write_text("a note")
    (folder / "train_images").mkdir()
    (folder / "train_images/0.png").write_bytes(b"")
    assert len(load("cifar100", root=tmp_path).train.pool.labels) == 400


def test_a_folder_with_too_many_entries_is_not_searched_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_ENTRIES", 5)
    for index in range(50):
        (tmp_path / f"cifar10-{index}").mkdir()
    found = copies.search(tmp_path, copies.Layout("cifar10", (("batches.meta",),)))
    assert len(found.others) == 5
    monkeypatch.setattr(copies, "_ENTRIES", 20)
    monkeypatch.setattr(copies, "_ALL_ENTRIES", 12)
    assert len(copies.search(tmp_path, copies.Layout("cifar10", (("batches.meta",),))).others) == 12


def test_a_folder_that_cannot_be_read_or_leads_in_a_circle_is_passed_over(tmp_path):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10/again").symlink_to(tmp_path / "cifar10")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert copies.search(tmp_path, copies.Layout("cifar10", (("batches.meta",),))).folders == []
    assert copies.search(tmp_path / "missing", copies.Layout("cifar10", (("batches.meta",),))).folders == []
