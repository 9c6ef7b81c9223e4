"""Load the libraries that a command or a public function computes with."""

from __future__ import annotations

from tinybench.core import quiet_libraries


def load_libraries() -> None:
    """Import TensorFlow and MLflow, which takes seconds, and hide what they print meanwhile.

    Libraries that are imported afterwards log only warnings and errors, unless the environment asks for more.
    """
    quiet_libraries.quieten_libraries()
    with quiet_libraries.filter_startup_noise():
        from tinybench.hardware import device

        device.detect_devices()
