"""Keeps the notes that libraries print while they start away from ours."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

# TensorFlow's C++ side says these below sys.stderr, whatever its log level; most of them where there is no GPU
_NOISE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog"
    rb"|.*port\.cc.*oneDNN custom operations are on"
    rb"|.*cudart_stub\.cc.*Could not find cuda drivers"
    rb"|.*cuda_platform\.cc.*failed call to cuInit"
    rb"|.*This TensorFlow binary is optimized to use available CPU"
    rb"|To enable the following instructions:).*\n?",
    re.MULTILINE,
)


def libraries() -> None:
    """Ask the libraries for warnings and errors alone, unless the user's environment asks for more."""
    for name, value in {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }.items():
        os.environ.setdefault(name, value)
    # It prints the traceback of what it then raises
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    # A graph for each fold's model is meant
    logging.getLogger("tensorflow").addFilter(lambda record: "tf.function retracing" not in record.getMessage())


@contextmanager
def starting() -> Iterator[None]:
    """Hold back the standard error of a block, also what C++ writes; all but the known noise is shown after it."""
    if sys.stderr is None:  # closed: there is nothing to hold back
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            notes.seek(0)
            sys.stderr.write(_NOISE.sub(b"", notes.read()).decode(errors="replace"))
