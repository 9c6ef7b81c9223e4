"""The cache: decoded once, whole or not at all, and mended when damaged."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest

from tinybench.core.errors import DataError
from tinybench.core.progress_bar import progress_bar
from tinybench.data import decoded_cache, decoding
from tinybench.data.decoding import EncodedImages, PoolWriter

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), np.uint8)
LABELS = np.arange(20, dtype=np.int32) % 2


class Builder:
    def __init__(self):
        self.calls = 0

    def __call__(self, folder):
        self.calls += 1
        PoolWriter(folder, progress_bar).write_arrays("train", PIXELS, LABELS)
        return decoded_cache.DatasetMetadata(("a", "b"), warnings=("careful",), unused={"notes": 2})


@pytest.fixture
def build():
    return Builder()


def entry(root):
    return next(path for path in (root / "data").iterdir() if path.is_dir())


def test_second_time_nothing_is_built(build):
    first, second = (decoded_cache.load_or_build({"data": 1}, "here", build) for _ in range(2))
    assert build.calls == 1
    for source in (first, second):
        assert np.array_equal(source.train.images, PIXELS)
        assert np.array_equal(source.train.labels, LABELS)
        assert source.class_names == ("a", "b")
        assert source.warnings == ("careful",)
        assert source.unused == {"notes": 2}
        assert source.test is None
    assert first.fingerprint == second.fingerprint
    assert len(first.fingerprint) == 64


def test_an_entry_of_an_earlier_version_is_read(build, cache_root):
    decoded_cache.load_or_build({"data": 1}, "here", build)
    path = entry(cache_root) / "meta.json"
    meta = json.loads(path.read_text())
    del meta["unused"]
    path.write_text(json.dumps(meta))
    assert decoded_cache.load_or_build({"data": 1}, "here", build).unused == {}
    assert build.calls == 1


def test_images_are_mapped_and_read_only(build):
    images = decoded_cache.load_or_build({"data": 1}, "here", build).train.images
    base = images
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_another_key_is_another_entry(build):
    decoded_cache.load_or_build({"data": 1}, "here", build)
    decoded_cache.load_or_build({"data": 2}, "here", build)
    assert build.calls == 2


def cut(folder):
    with (folder / "train.images.npy").open("r+b") as file:
        file.truncate(300)


def spoil(folder):
    (folder / "meta.json").write_text("{")


def lose(folder):
    (folder / "train.labels.npy").unlink()


def age(folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"format": 0}))


@pytest.mark.parametrize("damage", [cut, spoil, lose, age])
def test_damaged_entry_is_built_again(build, cache_root, damage):
    decoded_cache.load_or_build({"data": 1}, "here", build)
    damage(entry(cache_root))
    assert np.array_equal(decoded_cache.load_or_build({"data": 1}, "here", build).train.images, PIXELS)
    assert build.calls == 2


def test_failed_build_leaves_nothing(cache_root, build):
    def fail(folder):
        build(folder)
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        decoded_cache.load_or_build({"data": 1}, "here", fail)
    assert [path.suffix for path in (cache_root / "data").iterdir()] == [".lock"]


def test_what_a_killed_process_left_is_cleared(cache_root, build):
    decoded_cache.load_or_build({"data": 1}, "here", build)
    folder = entry(cache_root)
    folder.rename(folder.with_suffix(".partial"))
    (folder.with_suffix(".partial") / "validation.images.npy").write_bytes(b"rubbish")
    source = decoded_cache.load_or_build({"data": 1}, "here", build)
    assert source.validation is None
    assert entry(cache_root) == folder


def test_two_at_once_build_once(build):
    barrier = threading.Barrier(2)

    def work():
        barrier.wait()
        decoded_cache.load_or_build({"data": 1}, "here", build)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.calls == 1


def test_processes_share_one_entry(build, cache_root):
    decoded_cache.load_or_build({"data": 1}, "here", build)
    code = (
        "from tinybench.data import decoded_cache as cache\n"
        "def build(folder): raise SystemExit('built again')\n"
        "print(cache.load_or_build({'data': 1}, 'here', build).train.images.sum())"
    )
    assert int(subprocess.check_output([sys.executable, "-c", code])) == PIXELS.sum()


def test_place_that_cannot_be_written(monkeypatch, tmp_path, build):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set TINYBENCH_CACHE"):
        decoded_cache.load_or_build({"data": 1}, "here", build)


def test_full_disk_is_seen_before(monkeypatch, build):
    monkeypatch.setattr(decoding, "_SPARE", 2**62)
    with pytest.raises(DataError, match=r"Not enough room in .*TINYBENCH_CACHE"):
        decoded_cache.load_or_build({"data": 1}, "here", build)


def test_hash_of_a_file_is_remembered_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = decoded_cache.cached_file_hash(path, "sha256")
    monkeypatch.setattr(decoded_cache, "hash_file", lambda *_: "computed again")
    assert decoded_cache.cached_file_hash(path, "sha256") == first
    path.write_bytes(b"three")
    assert decoded_cache.cached_file_hash(path, "sha256") == "computed again"


def test_fingerprint_is_of_pixels_labels_and_names():
    def fingerprint(key, pixels=PIXELS, labels=LABELS, names=("a", "b")):
        def build(folder):
            PoolWriter(folder, progress_bar).write_arrays("train", pixels, labels)
            return decoded_cache.DatasetMetadata(names)

        return decoded_cache.load_or_build({"data": key}, "here", build).fingerprint

    assert fingerprint(0) == fingerprint(1)
    others = [fingerprint(2, pixels=255 - PIXELS), fingerprint(3, labels=1 - LABELS), fingerprint(4, names=("a", "c"))]
    assert len({fingerprint(0), *others}) == 4


def test_decoding_keeps_the_order_and_tells_how_far_it_is(tmp_path, encode):
    data = {str(index): encode(PIXELS[index % 20]) for index in range(200)}
    labels = np.arange(200, dtype=np.int32)
    told = []

    class Recorder:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return told.append

        def __exit__(self, *_):
            pass

    pictures = EncodedImages(list(data), labels, data.__getitem__, (4, 4, 3))
    PoolWriter(tmp_path, Recorder).write_encoded("train", pictures)
    written = np.load(tmp_path / "train.images.npy")
    assert np.array_equal(written, PIXELS[np.arange(200) % 20])
    assert sum(told) == 200
    assert len(np.unique(np.load(tmp_path / "train.digests.npy"))) == 20


def test_threads_write_what_one_thread_writes(tmp_path, encode):
    data = {str(index): encode(PIXELS[index % 20]) for index in range(200)}
    pictures = EncodedImages(list(data), np.zeros(200, np.int32), data.__getitem__, (4, 4, 3), "squash")
    PoolWriter(tmp_path, progress_bar).write_encoded("train", pictures)
    assert np.array_equal(np.load(tmp_path / "train.images.npy"), PIXELS[np.arange(200) % 20])


def test_nothing_readable_is_an_error(tmp_path):
    pictures = EncodedImages(["a", "b"], np.zeros(2, np.int32), lambda _: b"text", (4, 4, 3))
    with pytest.raises(DataError, match="None of the 2 train images"):
        PoolWriter(tmp_path, progress_bar, skip_corrupt=True).write_encoded("train", pictures)
