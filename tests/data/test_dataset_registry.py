"""What every source must give, and what each of them gives in particular."""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest

import tinybench.data
from tinybench.config.sections import DataConfig
from tinybench.core.errors import DataError
from tinybench.data import dataset_registry
from tinybench.data.dataset import DatasetCard

SOURCES = ["tiny-imagenet", "cifar10", "cifar100", "mnist", "digits"]
ARCHIVES = {
    "tiny-imagenet": "tiny-imagenet-200.zip",
    "cifar10": "cifar-10-python.tar.gz",
    "cifar100": "cifar-100-python.tar.gz",
    "mnist": "mnist.npz",
}


@pytest.fixture(params=SOURCES)
def name(request):
    return request.param


def test_suite_covers_the_registry():
    assert sorted(tinybench.data.names()) == sorted(SOURCES)


def test_shapes_types_and_names(real, name):
    data, card = real(name), tinybench.data.card(name)
    assert data.shape == card.shape
    assert len(data.class_names) == len(set(data.class_names)) == card.classes
    for split in data.splits.values():
        pixels = split.images(slice(0, 7))
        assert pixels.dtype == np.uint8
        assert pixels.shape == (7, *data.shape)
        assert split.labels.dtype == np.int32
        assert np.unique(split.labels).tolist() == list(range(card.classes))
        assert split.pool.digests.dtype == np.dtype("S16")
        assert pixels.max() > 100
    assert len(data.fingerprint) == len(data.split_hash) == 64
    assert data.name == name


def test_same_seed_same_split_other_seed_same_test(real, name):
    one, same, other = (real(name, seed=seed) for seed in (1, 1, 2))
    assert one.split_hash == same.split_hash != other.split_hash
    assert one.fingerprint == other.fingerprint
    assert np.array_equal(one.test.pool.digests[one.test.rows], other.test.pool.digests[other.test.rows])


def test_these_files_hold_no_exact_duplicates(real, name):
    assert real(name).duplicates == {"train/validation": 0, "train/test": 0, "validation/test": 0}


def test_classes_and_limits(real, name):
    data = real(name, classes=3, per_class=10, test_per_class=2)
    assert [len(part) for part in data.splits.values()] == [27, 3, 6]


@pytest.mark.parametrize("name", ARCHIVES)
def test_subset_is_used_with_a_warning_and_its_own_hash(real, name):
    data = real(name)
    assert data.fingerprint in data.warnings[0]
    assert "different archive of the same layout" in data.warnings[0]
    assert data.origin.endswith(ARCHIVES[name])


@pytest.mark.parametrize("name", ARCHIVES)
def test_missing_files_say_what_to_put_where(tmp_path, load, name):
    with pytest.raises(DataError) as caught:
        load(name, root=tmp_path)
    message = str(caught.value)
    assert f"There is no {name} in {tmp_path}. Fetch http" in message
    assert f"put it at {tmp_path / ARCHIVES[name]}" in message
    assert "`--dataset digits`" in message


@pytest.mark.parametrize("name", ARCHIVES)
def test_truncated_archive_is_one_line(real_data, tmp_path, load, name):
    data = (real_data / ARCHIVES[name]).read_bytes()
    (tmp_path / ARCHIVES[name]).write_bytes(data[: len(data) // 3])
    with pytest.raises(DataError, match="delete it and fetch it again") as caught:
        load(name, root=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist"])
def test_unpacked_gives_the_same_pixels(real, real_data, tmp_path, load, name):
    archive = real_data / ARCHIVES[name]
    if name == "mnist":
        zipfile.ZipFile(archive).extractall(tmp_path / "mnist")
    else:
        with tarfile.open(archive) as file:
            file.extractall(tmp_path)
    packed, unpacked = real(name), load(name, root=tmp_path)
    inside = load(name, root=next(path for path in tmp_path.iterdir() if path.is_dir()))
    assert packed.split_hash == unpacked.split_hash == inside.split_hash
    assert unpacked.fingerprint == inside.fingerprint != packed.fingerprint
    # A folder has no checksum, but its images are counted: of these, only MNIST has all of them
    assert ["scores are not comparable" in warning for warning in unpacked.warnings] == [True] * (name != "mnist")


def test_cifar10_pictures_are_upright_colour(real):
    data = real("cifar10")
    assert data.class_names[0] == "airplane"
    pixels = data.train.images().astype(float)
    across = np.abs(np.diff(pixels, axis=2)).mean()
    # Neighbouring pixels are alike only when the planes were put together in the right order.
    assert across < 20
    sky = data.train.images(np.flatnonzero(data.train.labels == 0))
    assert sky[..., 2].mean() > sky[..., 0].mean()


def test_cifar100_has_superclasses(real):
    fine, coarse = real("cifar100"), real("cifar100", labels="coarse")
    assert len(set(fine.superclasses)) == 20
    assert dict(zip(fine.class_names, fine.superclasses, strict=True))["maple_tree"] == "trees"
    assert coarse.class_names[0] == "aquatic_mammals"
    assert len(coarse.class_names) == 20
    assert coarse.superclasses == ()
    of_fine = [fine.superclasses[label] for label in fine.test.labels]
    assert of_fine == [coarse.class_names[label] for label in coarse.test.labels]


def test_mnist_begins_as_published(real):
    data = real("mnist")
    assert data.train.pool.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.train.pool.images.mean() == pytest.approx(33.3184, abs=1e-3)


def test_mnist_with_pickled_objects_is_refused(tmp_path, load):
    with zipfile.ZipFile(tmp_path / "mnist.npz", "w") as file, file.open("x_train.npy", "w") as member:
        np.save(member, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DataError, match="is not MNIST's archive"):
        load("mnist", root=tmp_path)


def test_digits_are_scaled_to_bytes_without_any_file(load, cache_root):
    from sklearn.datasets import load_digits

    data = load("digits")
    raw = load_digits()
    assert np.array_equal(np.rint(data.train.pool.images[..., 0] / 255 * 16), raw.images)
    assert data.train.pool.images.max() == 255
    assert sum(len(part) for part in data.splits.values()) == 1797
    assert not (cache_root / "data").exists()


def test_cards_hold_the_official_figures():
    cards = {name: tinybench.data.card(name) for name in SOURCES}
    assert cards["tiny-imagenet"].train == 100_000
    assert cards["cifar100"].test == 10_000
    assert cards["digits"].test is None
    assert tinybench.data.card("folder:/somewhere").classes is None


def test_unknown_name_lists_the_choices():
    with pytest.raises(
        DataError,
        match=r"Unknown data set 'cifar': choose one of tiny-imagenet, cifar10.*folder:/path.* Did you mean 'cifar10",
    ):
        tinybench.data.card("cifar")


def test_name_cannot_be_taken_twice():
    with pytest.raises(ValueError, match="`digits` is registered twice"):
        dataset_registry.register(DatasetCard("digits", "another"))(lambda request: None)


def test_download_that_fails_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("tinybench.core.download.ATTEMPTS", 1)
    with pytest.raises(DataError, match=r"Cannot fetch http://cs231n.*put it at .*tiny.*zip.*`--dataset digits`"):
        tinybench.data.load("tiny-imagenet", DataConfig(root=str(tmp_path / "new")), 0, image_size=64)


def test_import_is_cheap():
    code = (
        "import sys, json, tinybench.data\n"
        "heavy = ('sklearn', 'rich', 'requests', 'PIL', 'keras', 'tensorflow')\n"
        "print(json.dumps([module for module in heavy if module in sys.modules]))"
    )
    assert json.loads(subprocess.check_output([sys.executable, "-c", code])) == []


def test_cifar_with_another_layout_is_refused(real_data, tmp_path, load):
    with tarfile.open(real_data / ARCHIVES["cifar10"]) as file:
        file.extractall(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    shutil.copy(folder / "batches.meta", folder / "data_batch_2")
    with pytest.raises(DataError, match="Not CIFAR's layout"):
        load("cifar10", root=tmp_path)
    (folder / "test_batch").unlink()
    shutil.copy(folder / "data_batch_1", folder / "data_batch_2")
    with pytest.raises(DataError, match="'test_batch' is missing"):
        load("cifar10", root=tmp_path)
