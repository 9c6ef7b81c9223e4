"""CIFAR's pickles are read; nothing else in a pickle gets to run."""

import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tinybench.core.errors import DataError
from tinybench.data import cifar_pickles

# As Python 2 wrote it: protocol 2, byte strings, the old name of NumPy's module.
OLD = (
    b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02K\x03\x86"
    b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06\x01\x02\x03\x04\x05\x06tb"
    b"U\x06labels](K\x03K\x04eu."
)


def test_pickle_of_python_2():
    content = cifar_pickles.loads(OLD, "old")
    assert content["data"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert content["data"].dtype == np.uint8
    assert content["labels"] == [3, 4]


@pytest.mark.parametrize("dtype", ["u1", ">i4", "<f8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_come_back(dtype, order):
    array = np.asarray(np.arange(12).reshape(3, 4).astype(dtype), order=order)
    back = cifar_pickles.loads(pickle.dumps({"data": array, "names": ["a", b"b"]}, protocol=2), "new")
    assert np.array_equal(back["data"], array)
    assert back["names"] == ["a", b"b"]


class Call:
    def __init__(self, function, *arguments):
        self.state = function, arguments

    def __reduce__(self):
        return self.state


@pytest.mark.parametrize("function", [os.system, subprocess.check_output, eval, exec, getattr, Path, np.fromfile])
def test_nothing_is_executed(tmp_path, function):
    witness = tmp_path / "witness"
    with pytest.raises(DataError, match=r"Refused batch: .*asks for "):
        cifar_pickles.loads(pickle.dumps({"data": Call(function, f"touch {witness}")}), "batch")
    assert not witness.exists()


def test_arrays_of_objects_are_refused():
    array = np.array([{"a": 1}], object)
    with pytest.raises(DataError, match="'O8' is not allowed"):
        cifar_pickles.loads(pickle.dumps({"data": array}, protocol=2), "batch")


def test_stand_ins_cannot_be_fed_foreign_state():
    lying = OLD.replace(b"(K\x01K\x02K\x03\x86", b"(K\x01K\x02K\x63\x86")
    with pytest.raises(DataError, match="bytes do not fit its shape"):
        cifar_pickles.loads(lying, "batch")
    with pytest.raises(DataError, match="Refused"):
        cifar_pickles.loads(b"\x80\x02}U\x01acnumpy\ndtype\ns.", "batch")


@pytest.mark.parametrize("data", [b"", b"\x80\x02", OLD[:60], b"hello", pickle.dumps([1, 2]), b"\x80\x02Pabc\n."])
def test_broken_pickle_is_one_line(data):
    with pytest.raises(DataError, match="Refused batch: not one of CIFAR's pickles") as caught:
        cifar_pickles.loads(data, "batch")
    assert "\n" not in str(caught.value)
