"""idx files are read as their headers say, and refused where the headers are false."""

import contextlib
import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybench.core.errors import DataError
from tinybench.data import idx


def make(array) -> bytes:
    array = np.asarray(array, np.uint8)
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 28, 28)])
def test_arrays_come_back(pack, shape):
    array = np.arange(np.prod(shape)).reshape(shape)
    assert np.array_equal(idx.parse(pack(make(array)), "any", len(shape)), array)


BAD = {
    b"": "it begins with nothing, not 00000803",
    b"\x00\x00\x08": "it begins with 000008",
    b"<html>Please log in</html>": "it begins with 3c68746d",
    make(np.zeros(4)): "it begins with 00000801, not 00000803",
    make(np.zeros((2, 3, 4))).replace(b"\x08", b"\x0d", 1): "it begins with 00000d03",
    make(np.zeros((2, 3, 4)))[:-1]: "23 values for 2 x 3 x 4",
    make(np.zeros((2, 3, 4))) + b"\x00": "more than 24 values for 2 x 3 x 4",
    struct.pack(
        ">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1
    ): "4294967295 x 4294967295 x 4294967295 values are more",
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("data", BAD)
def test_false_headers_are_one_line(data, pack):
    with pytest.raises(DataError, match=f"Refused some-name: not one of MNIST's idx files.*{BAD[data]}") as caught:
        idx.parse(pack(data), "some-name", 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [3, 12, 25, -1, -9])
def test_a_packed_file_that_is_cut_short_is_one_line(kept):
    data = gzip.compress(make(np.random.default_rng(0).integers(0, 256, (4, 5, 6))))
    with pytest.raises(DataError, match="Refused cut"):
        idx.parse(data[:kept], "cut", 3)


def test_a_packed_file_is_unpacked_no_further_than_its_header_says():
    class Counted(idx.gzip.GzipFile):
        total = 0

        def read(self, size=-1):
            data = super().read(size)
            Counted.total += len(data)
            return data

    bomb = gzip.compress(make(np.zeros((2, 3, 4))) + bytes(10_000_000))
    stream = Counted(fileobj=idx.io.BytesIO(bomb))
    with pytest.raises(ValueError, match="more than 24 values"):
        idx._read(stream, 3)
    assert Counted.total == 16 + 25


SMALL = st.integers(0, 5) | st.integers(0, 2**32 - 1)


@given(
    st.binary(max_size=4) | st.just(b"\x00\x00\x08\x02"),
    st.lists(SMALL, max_size=3),
    st.binary(max_size=30),
    st.booleans(),
)
def test_any_bytes_are_an_array_of_their_size_or_an_error(magic, sizes, values, packed):
    data = magic + struct.pack(f">{len(sizes)}I", *sizes) + values
    with contextlib.suppress(DataError):
        assert make(idx.parse(gzip.compress(data) if packed else data, "any", 2)) == data
