"""What can go wrong in a way that a person can mend.

Every error that tinybench raises on purpose is one of these. Its message is one line that says what is
wrong and what to do about it; the command line prints just that line.
"""

import errno

_FULL = {errno.ENOSPC, errno.EDQUOT}


class TinybenchError(Exception):
    """Something the user can mend; the message says how."""

    exit_code = 1
    resumable = True  # whether the same run, gone on with, may end better


class ConfigError(TinybenchError):
    """An unknown key or a value that is not allowed."""

    exit_code = 2
    resumable = False


class DataError(TinybenchError):
    """Data that is missing, damaged or not what it claims to be."""


class AbsentError(DataError):
    """Official data that are not there and were not to be fetched."""


class DeviceError(TinybenchError):
    """A GPU, or what tells of it, that is not there."""


class WeightsError(TinybenchError):
    """Weights that cannot be had or do not fit."""


class ModelError(TinybenchError):
    """A model that is unknown or cannot be built as asked."""

    resumable = False


class ExportError(TinybenchError):
    """A model that cannot be had in another format."""


class TrainingError(TinybenchError):
    """Training that cannot go on, such as a loss that is not a number."""


class FeatureError(TinybenchError):
    """Features that cannot be kept as asked."""


class EngineError(TinybenchError):
    """An engine that is not there or cannot run a model."""

    resumable = False


class DivergedError(TrainingError):
    """A loss that is not a number, which a resumed run would come to again."""

    resumable = False


class TrackingError(TinybenchError):
    """A run that cannot be found, resumed or written."""


class Interrupted(KeyboardInterrupt):
    """SIGTERM, raised as an exception so that the run is closed properly."""


def in_one_line(error: BaseException) -> str:
    """What an error says, in one line for the terminal and for the tag of a run."""
    first_line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, TinybenchError):
        return first_line
    full = isinstance(error, OSError) and error.errno in _FULL
    if full or "database or disk is full" in str(error):
        return f"The disk is full ({first_line}): make room, then try again."
    return f"{type(error).__name__}: {first_line}"
