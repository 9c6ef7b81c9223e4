"""oneDNN's kernels, which TensorFlow leaves out on processors without AVX-512 unless it is asked while it loads."""

from __future__ import annotations

import os
import sys


def allow(deterministic: bool) -> None:
    """Ask for them, before TensorFlow is imported, where a run need not repeat to the bit; the user's word counts more.

    They are up to three times as fast, and do not always repeat: see the README.
    """
    if not deterministic and "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
