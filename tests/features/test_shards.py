"""Shards: what was written comes back, and what a crash or a disk made of it is never taken for one."""

from __future__ import annotations

import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tinybench.features import shards
from tinybench.features.shards import Shards

ROOT = Path(__file__).parents[2]
COUNT, ROWS = 10, 4  # three shards, of 4, 4 and 2 rows
VALUES = np.random.default_rng(0).normal(size=(COUNT, 3)).astype(np.float16)
ALL = np.arange(COUNT)

DTYPES = st.sampled_from(["float16", "float32", "float64"])
SHAPES = st.lists(st.integers(1, 4), max_size=3).map(tuple)


def opened(folder: Path, count: int = COUNT, shape: tuple[int, ...] = (3,), dtype: str = "float16", rows: int = ROWS):
    found = Shards(folder, count, shape, dtype)
    found.rows = rows
    return found


def written(folder: Path, values: NDArray = VALUES, rows: int = ROWS) -> Shards:
    found = opened(folder, len(values), values.shape[1:], values.dtype.name, rows)
    for index in found.missing():
        found.write(index, values[found.rows_of(index)])
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def file_of(folder: Path, index: int) -> Path:
    (found,) = folder.glob(f"{index:06d}-*.npy")
    return found


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment, timeout=60
    )


@given(st.integers(0, 30), st.integers(1, 9), SHAPES, DTYPES, st.data())
def test_rows_come_back_in_any_order_and_any_number(count, rows, shape, dtype, data) -> None:
    values = np.random.default_rng(count).normal(size=(count, *shape)).astype(dtype)
    asked = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=40)) if count else [], np.int64)
    with tempfile.TemporaryDirectory() as folder:
        first = written(Path(folder), values, rows)
        again = opened(Path(folder), count, shape, dtype, rows)
        assert again.missing() == []
        for found in (first, again):
            taken = found.take(asked)
            assert taken.dtype == values.dtype
            np.testing.assert_array_equal(taken, values[asked])


@given(st.integers(1, 30), st.integers(1, 9), st.data())
def test_what_is_missing_is_what_was_not_written(count: int, rows: int, data: st.DataObject) -> None:
    indices = range(math.ceil(count / rows))
    there = data.draw(st.sets(st.sampled_from(indices)))
    values = np.ones((count, 2), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        found = opened(Path(folder), count, (2,), "float32", rows)
        assert found.missing() == [*indices]
        for index in there:
            found.write(index, values[found.rows_of(index)])
        for each in (found, opened(Path(folder), count, (2,), "float32", rows)):
            assert each.missing() == sorted({*indices} - there)


def test_values_are_kept_in_the_type_of_the_shards(tmp_path: Path) -> None:
    found = opened(tmp_path, 2, (3,), "float16")
    found.write(0, np.array([[1, 2, 3.0001], [4, 5, 6]], np.float64)[:, ::-1])
    assert found.take(np.array([0])).tolist() == [[3, 2, 1]]
    assert np.load(file_of(tmp_path, 0)).dtype == np.float16


def test_what_is_taken_is_a_copy(tmp_path: Path) -> None:
    found = written(tmp_path)
    found.take(ALL)[:] = 0
    np.testing.assert_array_equal(found.take(ALL), VALUES)


def test_the_name_carries_the_checksum_of_place_and_bytes(tmp_path: Path) -> None:
    written(tmp_path)
    for index, name in enumerate(sorted(files(tmp_path))):
        assert name == f"{index:06d}-{zlib.crc32((tmp_path / name).read_bytes(), index):08x}.npy"


@given(st.integers(0, 5000), st.lists(st.integers(1, 300), max_size=3).map(tuple), DTYPES)
def test_a_shard_has_so_many_rows_and_bytes_at_most_but_a_row_at_least(count, shape, dtype) -> None:
    found = Shards(Path(), count, shape, dtype)
    assert found.row_bytes == np.empty(shape, dtype).nbytes
    assert found.bytes == count * found.row_bytes
    rows, size = shards._MAX_ROWS, shards._MAX_BYTES
    assert 1 <= found.rows <= rows
    assert found.rows == 1 or found.rows * found.row_bytes <= size
    assert found.rows == rows or (found.rows + 1) * found.row_bytes > size
    places = [found.rows_of(index) for index in range(math.ceil(count / found.rows))]
    assert [row for place in places for row in range(place.start, place.stop)] == [*range(count)]


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def lengthen_values(file: Path) -> None:
    save_as(file, np.load(file).repeat(2, axis=1))


def behead(file: Path) -> None:
    os.truncate(file, 20)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def zero(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def flip_a_value(file: Path) -> None:
    flip(file, 128, 1)


def flip_the_last_byte(file: Path) -> None:
    flip(file, file.stat().st_size - 1, 128)


def rename(file: Path) -> None:
    file.rename(file.with_name("features.npy"))


def name_another_checksum(file: Path) -> None:
    file.rename(file.with_name(f"{file.name[:7]}00000000.npy"))


def reshape(file: Path) -> None:
    save_as(file, np.load(file).reshape(3, 4))


def shorten(file: Path) -> None:
    save_as(file, np.load(file)[:-1])


def retype(file: Path) -> None:
    save_as(file, np.load(file).view(np.int16))


def widen(file: Path) -> None:
    save_as(file, np.load(file).astype(np.float32))


def pickle(file: Path) -> None:
    np.save(file, np.array([None] * 4, object), allow_pickle=True)


def save_as(file: Path, values: NDArray) -> None:
    """A whole file with a right checksum in its name, of values that do not belong there."""
    file.unlink()
    np.save(file.with_name(f"{file.name[:7]}{zlib.crc32(values.tobytes()):08x}.npy"), values)


def flip(file: Path, place: int, bits: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= bits
    file.write_bytes(content)


DAMAGES: list[Callable[[Path], None]] = [
    truncate, lengthen_values, behead, empty, zero, flip_a_value, flip_the_last_byte, rename, name_another_checksum,
    reshape, shorten, retype, widen, pickle,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_shard_is_removed_and_computed_again_and_others_stay(tmp_path: Path, damage) -> None:
    written(tmp_path)
    before = files(tmp_path)
    spoilt = file_of(tmp_path, 1)
    damage(spoilt)
    found = opened(tmp_path)
    assert found.missing() == [1]
    assert files(tmp_path) == {name: content for name, content in before.items() if name != spoilt.name}
    found.write(1, VALUES[found.rows_of(1)])
    assert files(tmp_path) == before
    np.testing.assert_array_equal(found.take(ALL), VALUES)


@settings(max_examples=60)
@given(st.integers(0, 2 * VALUES[:ROWS].size - 1), st.integers(1, 255))
def test_no_byte_of_the_values_can_change_unseen(place: int, bits: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        written(Path(name))
        flip(file_of(Path(name), 0), 128 + place, bits)
        assert opened(Path(name)).missing() == [0]
        assert len(files(Path(name))) == 2


@pytest.mark.parametrize(("place", "bits"), [(8, 64), (10, 1), (21, 16), (26, 66), (60, 8)])
def test_a_header_with_a_damaged_byte_is_a_damaged_shard(tmp_path: Path, place: int, bits: int) -> None:
    written(tmp_path)
    flip(file_of(tmp_path, 1), place, bits)
    assert opened(tmp_path).missing() == [1]
    assert len(files(tmp_path)) == 2


MANY = """
import resource, sys; from pathlib import Path; import numpy as np
from tinybench.features.shards import Shards
shards = Shards(Path(sys.argv[1]), 100, (3,), "float16"); shards.rows = 1
hard = 64 if sys.argv[2] == "hard" else resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
print(len(shards.missing()), shards.take(np.arange(100)).sum(dtype=float))
"""


def test_shards_that_cannot_be_opened_are_not_removed(tmp_path: Path) -> None:
    written(tmp_path, np.ones((100, 3), np.float16), rows=1)
    python(MANY, str(tmp_path), "hard")  # it may raise
    assert len(files(tmp_path)) == 100


def test_there_can_be_more_shards_than_files_may_usually_be_open(tmp_path: Path) -> None:
    written(tmp_path, np.ones((100, 3), np.float16), rows=1)
    result = python(MANY, str(tmp_path), "soft")
    assert result.stdout == "0 300.0\n", result.stderr


def test_what_a_killed_writer_leaves_is_no_shard(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; import numpy as np\n"
        "from tinybench.features.shards import Shards\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Shards(Path(sys.argv[1]), 4, (3,), 'float16').write(0, np.ones((4, 3)))"
    )
    assert python(code, str(tmp_path)).returncode == -signal.SIGKILL
    assert [Path(name).suffix for name in files(tmp_path)] == [".part"]
    found = opened(tmp_path, 4)
    assert found.missing() == [0]
    found.write(0, VALUES[:4])
    np.testing.assert_array_equal(found.take(np.arange(4)), VALUES[:4])
    assert opened(tmp_path, 4).missing() == []


def test_folders_without_shards_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text("{}")
    assert opened(tmp_path).missing() == [0, 1, 2]
    assert opened(tmp_path / "absent").missing() == [0, 1, 2]
    assert [*files(tmp_path)] == ["about.json"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tinybench", place], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_an_error_that_leaves_what_was_there(small_disk: Path) -> None:
    values = np.random.default_rng(0).normal(size=(1500, 16)).astype(np.float32)  # 32 KiB a shard
    found = opened(small_disk, 1500, (16,), "float32", rows=512)
    found.write(0, values[:512])
    before = files(small_disk)
    with pytest.raises(OSError, match=r"\d+ requested and \d+ written|No space left"):
        found.write(1, values[512:1024])
    assert files(small_disk) == before
    for each in (found, opened(small_disk, 1500, (16,), "float32", rows=512)):
        assert each.missing() == [1, 2]
    subprocess.run(["mount", "-o", "remount,size=256k", small_disk], check=True)
    for index in found.missing():
        found.write(index, values[found.rows_of(index)])
    np.testing.assert_array_equal(found.take(np.arange(1500)), values)


def test_a_file_that_may_not_grow_is_an_error_that_leaves_what_was_there(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; import numpy as np\n"
        "from tinybench.features.shards import Shards\n"
        "shards = Shards(Path(sys.argv[1]), 1000, (16,), 'float32'); shards.rows = 512\n"
        "shards.write(0, np.ones((512, 16)))\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (20000, {resource.RLIM_INFINITY}))\n"
        "try:\n    shards.write(1, np.ones((488, 16)))\n"
        "except OSError:\n    print('refused', shards.missing())"
    )
    result = python(code, str(tmp_path))
    assert result.stdout.strip() == "refused [1]", result.stderr
    assert [name[:7] for name in files(tmp_path)] == ["000000-"]


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    found = opened(tmp_path / "absent")
    with pytest.raises(FileNotFoundError):
        found.write(0, VALUES[:4])
    assert found.missing() == [0, 1, 2]


def test_two_writers_of_one_shard_agree(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    for found in (first, second):
        for index in range(3):
            found.write(index, VALUES[found.rows_of(index)])
    assert len(files(tmp_path)) == 3
    for found in (first, second):
        np.testing.assert_array_equal(found.take(ALL), VALUES)
