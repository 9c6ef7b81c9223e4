"""Load the libraries that a command computes with, once its arguments have been read."""

from __future__ import annotations

from types import ModuleType

from tinybench.core import quiet_libraries


def load_api() -> ModuleType:
    """Return `tinybench.api` after TensorFlow and MLflow have been imported, which takes seconds."""
    from tinybench.hardware import allocator

    allocator.keep_freed_memory()
    with quiet_libraries.starting():
        from tinybench import api
        from tinybench.hardware import device

        device.start()
    return api
