"""What the data tests share: a cache of their own, the real files, and small folders of pictures."""

import io
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
