"""Load the libraries that a command computes with, once its arguments have been read."""

from __future__ import annotations

from tinybench.core import quiet_libraries


def load_libraries() -> None:
    """Import TensorFlow and MLflow, which takes seconds, and hide what they print meanwhile."""
    from tinybench.hardware import allocator

    allocator.keep_freed_memory()
    with quiet_libraries.filter_startup_noise():
        from tinybench.hardware import device

        device.detect_devices()
