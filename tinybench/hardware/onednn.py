"""Allow oneDNN's kernels, which TensorFlow does not use on processors without AVX-512 by default."""

from __future__ import annotations

import os
import sys


def allow_onednn(deterministic: bool) -> None:
    """Enable oneDNN if a run need not repeat to the bit; a setting in the user's environment takes precedence.

    It has an effect only before TensorFlow is imported. These kernels are up to three times as fast, and their results
    do not always repeat: see docs/features.md.
    """
    if not deterministic and "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
