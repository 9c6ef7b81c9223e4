"""What the data tests share: a cache of their own, the real files, and small folders of pictures."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinybench.data
from tinybench.config.sections import DataConfig
from tinybench.data.dataset import Dataset


@pytest.fixture(autouse=True)
def cache_root(tmp_path_factory, monkeypatch) -> Path:
    root = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TINYBENCH_CACHE", str(root))
    return root


@pytest.fixture
def load() -> Callable[..., Dataset]:
    """`load(name, seed=…, image_size=…, **settings)` with the network left alone."""

    def call(name: str, *, seed: int = 0, image_size: int = 16, **settings) -> Dataset:
        config = DataConfig(**{key: str(value) if key == "root" else value for key, value in settings.items()})
        return tinybench.data.load(name, config, seed, image_size=image_size, download=False)

    return call


@pytest.fixture(scope="session")
def decoded(tmp_path_factory) -> Path:
    """One cache for the real archives: decoding them once is enough."""
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture
def real(request, decoded, monkeypatch, load) -> Callable[..., Dataset]:
    """`load` for the real archives, and for what needs no files."""
    monkeypatch.setenv("TINYBENCH_CACHE", str(decoded))

    def call(name: str, **settings) -> Dataset:
        root = {} if name == "digits" else {"root": request.getfixturevalue("real_data")}
        return load(name, **root, **settings)

    return call


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Bytes of a picture made from an array or an image."""

    def call(pixels, format="PNG", **options) -> bytes:
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        return buffer.getvalue()

    return call


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of images that is still to be made."""
    return tmp_path / "pictures"


@pytest.fixture
def make_folder(tmp_path, encode) -> Callable[..., Path]:
    """Make a folder of random pictures from {"class/or/split/class": how many}."""

    def call(counts: dict[str, int], *, size=(8, 8), seed=0, name="pictures") -> Path:
        generator = np.random.default_rng(seed)
        for folder, count in counts.items():
            where = tmp_path / name / folder
            where.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 256, (*size, 3), np.uint8)
                (where / f"{index:03}.png").write_bytes(encode(pixels))
        return tmp_path / name

    return call


@pytest.fixture
def make_cifar10() -> Callable[..., Path]:
    """Make CIFAR-10's folder with so many random images in each batch, of the first so many of its classes."""

    def call(folder: Path, *, batches=(1, 2, 3, 4, 5), per_batch=20, classes=10) -> Path:
        folder.mkdir(parents=True)
        for number, name in enumerate([*(f"data_batch_{batch}" for batch in batches), "test_batch"]):
            pixels = np.random.default_rng(number).integers(0, 256, (per_batch, 3072), np.uint8)
            content = {"labels": [index % classes for index in range(per_batch)], "data": pixels}
            (folder / name).write_bytes(pickle.dumps(content, 2))
        (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class{i}" for i in range(10)]}, 2))
        return folder

    return call


@pytest.fixture
def make_cifar100() -> Callable[..., Path]:
    """Make CIFAR-100's folder with so many random images of each of the first so many fine classes."""

    def call(folder: Path, *, classes=100, per_class=4) -> Path:
        folder.mkdir(parents=True)
        fine = [label for label in range(classes) for _ in range(per_class)]
        for number, name in enumerate(["train", "test"]):
            pixels = np.random.default_rng(number).integers(0, 256, (len(fine), 3072), np.uint8)
            content = {"fine_labels": fine, "coarse_labels": [label // 5 for label in fine], "data": pixels}
            (folder / name).write_bytes(pickle.dumps(content, 2))
        names = {"fine_label_names": [f"fine{i:02}" for i in range(100)]}
        names["coarse_label_names"] = [f"coarse{i:02}" for i in range(20)]
        (folder / "meta").write_bytes(pickle.dumps(names, 2))
        return folder

    return call
