"""Load the libraries that a command computes with, once its arguments have been read."""

from __future__ import annotations

from tinybench.hardware import libraries


def load_libraries() -> None:
    """Import TensorFlow and MLflow, which takes seconds, and hide what they print meanwhile."""
    from tinybench.hardware import allocator

    allocator.keep_freed_memory()
    libraries.load_libraries()
