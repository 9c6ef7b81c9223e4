"""The errors that a user can correct.

Every error that tinybench raises on purpose is one of these. Its message is one line that says what is
wrong and what to do about it; the command line prints only that line.
"""

import errno

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


class TinybenchError(Exception):
    """An error that the user can correct; the message says how."""

    exit_code = 1
    resumable = True  # whether resuming the run may succeed

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows instead of a traceback: the cause is not in the code, but in a value."""
        return [f"{type(self).__name__}: {self}", *getattr(self, "__notes__", [])]


class ConfigError(TinybenchError):
    """An unknown key or a value that is not allowed."""

    exit_code = 2
    resumable = False


class DataError(TinybenchError):
    """Data that is missing, damaged or not what it claims to be."""


class MissingDataError(DataError):
    """An official data set that is absent and was not to be downloaded."""


class DeviceError(TinybenchError):
    """A GPU or NVML that is not available."""


class WeightsError(TinybenchError):
    """Weights that cannot be downloaded or do not fit."""


class ModelError(TinybenchError):
    """A model that is unknown or cannot be built as configured."""

    resumable = False


class ExportError(TinybenchError):
    """A model that cannot be exported to a format."""


class TrainingError(TinybenchError):
    """Training that cannot continue, such as a disk that is full."""


class FeatureError(TinybenchError):
    """Features that cannot be stored."""


class EngineError(TinybenchError):
    """An engine that is not installed or cannot run a model."""

    resumable = False


class DivergedError(TrainingError):
    """A loss that is not a number, which a resumed run would reach again."""

    resumable = False


class TrackingError(TinybenchError):
    """A run that cannot be found, resumed or written."""


class Interrupted(KeyboardInterrupt):
    """SIGTERM, raised as an exception so that the run is ended properly."""


def format_error(error: BaseException) -> str:
    """Return the message of an error in one line, for the terminal and for the tag of a run."""
    first_line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, TinybenchError):
        return first_line
    disk_full = isinstance(error, OSError) and error.errno in _DISK_FULL
    if disk_full or "database or disk is full" in str(error):
        return f"The disk is full ({first_line}): make room, then try again."
    return f"{type(error).__name__}: {first_line}"
