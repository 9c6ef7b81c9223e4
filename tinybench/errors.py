"""What can go wrong in a way that a person can mend.

Every error that tinybench raises on purpose is one of these. Its message is one line that says what is
wrong and what to do about it; the command line prints just that line.
"""


class TinybenchError(Exception):
    """Something the user can mend; the message says how."""

    exit_code = 1


class ConfigError(TinybenchError):
    """An unknown key or a value that is not allowed."""

    exit_code = 2


class DataError(TinybenchError):
    """Data that is missing, damaged or not what it claims to be."""


class WeightsError(TinybenchError):
    """Weights that cannot be had or do not fit."""


class ModelError(TinybenchError):
    """A model that is unknown or cannot be built as asked."""


class TrainingError(TinybenchError):
    """Training that cannot go on, such as a loss that is not a number."""


class TrackingError(TinybenchError):
    """A run that cannot be found, resumed or written."""


class Interrupted(KeyboardInterrupt):
    """SIGTERM, raised as an exception so that the run is closed properly."""
