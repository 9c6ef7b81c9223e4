"""Where tinybench keeps files of its own, outside the working directory."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache() -> Path:
    """Decoded images and downloads, which can be made again: TINYBENCH_CACHE or the platform's folder."""
    given = os.environ.get("TINYBENCH_CACHE")
    return Path(given) if given else platformdirs.user_cache_path("tinybench")


def state() -> Path:
    """Checkpoints of runs that are not finished: TINYBENCH_STATE or the platform's folder."""
    given = os.environ.get("TINYBENCH_STATE")
    return Path(given) if given else platformdirs.user_state_path("tinybench")
