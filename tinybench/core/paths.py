"""The folders of tinybench outside the working directory."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the folder of files that can be made again, such as decoded images: TINYBENCH_CACHE, or the platform's."""
    folder = os.environ.get("TINYBENCH_CACHE")
    return Path(folder) if folder else platformdirs.user_cache_path("tinybench")


def state_folder() -> Path:
    """Return the folder of checkpoints of unfinished runs: TINYBENCH_STATE, or the platform's."""
    folder = os.environ.get("TINYBENCH_STATE")
    return Path(folder) if folder else platformdirs.user_state_path("tinybench")
