"""The formats that a model can be exported to, and which of them the name of a file means; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from tinybench.core.errors import ConfigError
from tinybench.core.suggestion import suggest

SUFFIXES = {
    "keras": ".keras",
    "h5": ".h5",
    "savedmodel": "",
    "onnx": ".onnx",
    "openvino": ".xml",
    "litert": ".tflite",
    "litert-int8": ".tflite",
}
"""The suffix of each format's file; empty for a folder."""


def choose_format(format: str | None, output: Path | None) -> str:
    """Return the format to export to: the one that is named, else that of the output's suffix, else `keras`.

    Args:
        format: One of `SUFFIXES`, or None.
        output: The file or folder to write, or None.

    Raises:
        ConfigError: There is no such format, or the output's suffix is that of no format or of another one.
    """
    if format is not None and format not in SUFFIXES:
        raise ConfigError(
            f"Invalid value for `--format`: expected one of {', '.join(SUFFIXES)}, got {format!r}."
            + suggest(format, SUFFIXES)
        )
    if output is None:
        return format or "keras"
    if format is not None:
        _check_suffix(format, output)
        return format
    by_suffix = {suffix: name for name, suffix in reversed(SUFFIXES.items()) if suffix}
    if output.suffix not in by_suffix:
        raise ConfigError(
            f"Invalid value for `--output`: expected a name that ends in {', '.join(reversed(by_suffix))}, or --format "
            f"savedmodel for a folder, got {output}."
        )
    return by_suffix[output.suffix]


def _check_suffix(format: str, output: Path) -> None:
    """Raise ConfigError if a name has not the suffix of a format; that of a folder may have any that is no format's."""
    suffix = SUFFIXES[format]
    if suffix and output.suffix != suffix:
        raise ConfigError(
            f"Invalid value for `--output`: expected a name that ends in {suffix} for --format {format}, got {output}."
        )
    if not suffix and output.suffix in SUFFIXES.values() and output.suffix:
        raise ConfigError(
            f"Invalid value for `--output`: expected the name of a folder for --format {format}, got {output}, whose "
            "suffix is that of another format."
        )
