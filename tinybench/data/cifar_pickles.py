"""Read CIFAR's pickles without running any code that they name.

A pickle names classes and functions to call. Here each allowed name is mapped to a small replacement of our own,
and any other is refused, so that the result holds arrays, bytes, text, numbers, lists and dicts and nothing else.
NumPy's own unpickling is not used either: a forged state could make it return an array of objects.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from typing import Any

import numpy as np

from tinybench.core.errors import DataError

_NUMERIC = re.compile(r"[<>|=]?([uif][1248]|b1)")

# What unpickling raises on bytes that are not a valid pickle
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    LookupError,
    ValueError,
    TypeError,
    MemoryError,
    OverflowError,
)


class _Dtype:
    """A replacement for `numpy.dtype` that accepts numeric types only."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else str(code)
        if not _NUMERIC.fullmatch(self.code):
            raise pickle.UnpicklingError(f"an array of type {self.code!r} is not allowed")
        self.big_endian = False

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.big_endian = state[1] in (">", b">")

    def to_numpy(self) -> np.dtype[Any]:
        return np.dtype(self.code).newbyteorder(">" if self.big_endian else "<")


class _Array:
    """A replacement for `numpy.ndarray` that accepts raw bytes of the right length only."""

    def __init__(self, *_: Any) -> None:
        self.array: np.ndarray[Any, Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, kind, fortran, raw = state
        dtype = kind.to_numpy()
        if not isinstance(raw, bytes) or len(raw) != math.prod(shape) * dtype.itemsize:
            raise pickle.UnpicklingError("an array whose bytes do not fit its shape")
        self.array = np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")


def _encode(text: str, encoding: str | bytes = "latin1") -> bytes:
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"text in {encoding!r} is not allowed")
    return text.encode("latin1")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"it asks for an external object, {pid!r}")


def loads(data: bytes, name: str) -> dict[str, Any]:
    """Return the dictionary in a pickle, with its keys as text.

    Args:
        data: The pickle.
        name: The name of the file, for the error message.

    Raises:
        DataError: The pickle is broken, or holds something else than arrays of numbers, bytes, text, numbers, lists
            and dicts.
    """
    try:
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError(f"it holds a {type(content).__name__}, not a dict")
        return {_decode_key(key): _check_value(value) for key, value in content.items()}
    except (*_BROKEN, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"Refused {name}: not one of CIFAR's pickles ({reason}). Delete it and fetch the official archive."
        ) from None


def _decode_key(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _check_value(value: Any) -> Any:
    """Return a value with its arrays as NumPy arrays; raise UnpicklingError for types that are not allowed."""
    if isinstance(value, _Array):
        if value.array is None:
            raise pickle.UnpicklingError("an array without content")
        return value.array
    if isinstance(value, (list, tuple)):
        return [_check_value(item) for item in value]
    if isinstance(value, dict):
        return {_check_value(key): _check_value(item) for key, item in value.items()}
    if value is None or isinstance(value, (bytes, str, int, float)):
        return value
    raise pickle.UnpicklingError(f"a {type(value).__name__} is not allowed")
