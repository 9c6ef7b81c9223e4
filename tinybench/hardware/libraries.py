"""Load the libraries that a command or a public function computes with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tinybench.core import quiet_libraries

P = ParamSpec("P")
T = TypeVar("T")


def load_libraries() -> None:
    """Import TensorFlow and MLflow, which takes seconds, and hide what they print meanwhile.

    Libraries that are imported afterwards log only warnings and errors, unless the environment asks for more.
    """
    quiet_libraries.quieten_libraries()
    with quiet_libraries.filter_startup_noise():
        from tinybench.hardware import device

        device.detect_devices()


def loads_libraries(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that calls `load_libraries` before it does its work."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        load_libraries()
        return function(*args, **kwargs)

    return call
