"""Suppress the messages that libraries print while they are imported, or convert a model."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

# TensorFlow's C++ code writes these to file descriptor 2, whatever its log level; most of them without a GPU
_NOISE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog"
    rb"|.*port\.cc.*oneDNN custom operations are on"
    rb"|.*cudart_stub\.cc.*Could not find cuda drivers"
    rb"|.*cuda_platform\.cc.*failed call to cuInit"
    rb"|.*util\.cc.*oneDNN supports DT_\w+ only on platforms with"
    rb"|.*This TensorFlow binary is optimized to use available CPU"
    rb"|To enable the following instructions:).*\n?",
    re.MULTILINE,
)
_GPU_DRIVER_FILES = ("/dev/nvidiactl", "/dev/dxg")  # of Linux, and of Linux in Windows


def quieten_libraries() -> None:
    """Let libraries log only warnings and errors, unless the user's environment asks for more."""
    for name, value in {
        "TF_CPP_MIN_LOG_LEVEL": "2" if _has_gpu_driver() else "3",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", "IProgress not found")  # tqdm, in notebooks without ipywidgets
    # It prints the traceback of an exception that it also raises
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    # A graph for each fold's model is intended
    logging.getLogger("tensorflow").addFilter(lambda record: "tf.function retracing" not in record.getMessage())


def _has_gpu_driver() -> bool:
    """Return whether this machine has the driver of a GPU.

    Without one, TensorFlow's C++ code has no error to log that it does not raise as well, but it does log as an error
    that a processor computes without some instruction.
    """
    return any(Path(file).exists() for file in _GPU_DRIVER_FILES)


@contextmanager
def discard_stderr() -> Iterator[None]:
    """Discard the standard error of a block, also from C++; converters describe there what they do."""
    logger = logging.getLogger("tensorflow")  # in a notebook it writes to the cell
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with Path(os.devnull).open("wb") as null, _redirect_stderr(null):
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def filter_startup_noise() -> Iterator[None]:
    """Collect the standard error of a block, also from C++, and print all but known noise after it."""
    with TemporaryFile() as output:
        try:
            with _redirect_stderr(output):
                yield
        finally:
            output.seek(0)
            if sys.stderr is not None:
                sys.stderr.write(_NOISE.sub(b"", output.read()).decode(errors="replace"))


@contextmanager
def _redirect_stderr(file: IO[bytes]) -> Iterator[None]:
    """Write the standard error of a block to a file, also from C++; do nothing if there is none."""
    if sys.stderr is None:  # closed
        yield
        return
    sys.stderr.flush()
    stderr_copy = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr_copy, 2)
        os.close(stderr_copy)
