"""Parse the values of options that are not settings of a run."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from urllib.parse import urlsplit

from tinybench.config.fields import byte_size
from tinybench.config.run_config import UNSET_VALUES
from tinybench.core.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}  # which browsers leave out

_NUMBER = r"\d{1,6}(?:\.\d{1,6})?"
_DURATION = re.compile(rf"(?:(?P<h>{_NUMBER})\s*h)?\s*(?:(?P<min>{_NUMBER})\s*m(?:in)?)?\s*(?:(?P<s>{_NUMBER})\s*s)?")
_SECONDS = {"h": 3600.0, "min": 60.0, "s": 1.0}


def none_if_unset(value: str | None) -> str | None:
    """Return a value, or None if it leaves the default, as an unset parameter of the MLproject file does."""
    return None if value in UNSET_VALUES else value


def parse_size(option: str, text: str, example: str) -> int:
    """Return the bytes of a size such as 20GB.

    Raises:
        ConfigError: It is not a size; the message shows the example.
    """
    try:
        return int(byte_size().parse(text))
    except ValueError:
        raise ConfigError(f"Invalid value for `{option}`: expected a size such as {example}, got {text!r}.") from None


def parse_count(option: str, text: str | None) -> int | None:
    """Return a whole number of at least 1, or None where the default is left.

    Raises:
        ConfigError: It is not such a number.
    """
    value = none_if_unset(text)
    if value is None:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise ConfigError(f"Invalid value for `{option}`: expected a whole number of at least 1, got {value!r}.")
    return int(value)


def parse_positive(option: str, text: str | None) -> float | None:
    """Return a finite number above 0, or None where the default is left.

    Raises:
        ConfigError: It is not such a number.
    """
    value = none_if_unset(text)
    if value is None:
        return None
    with suppress(ValueError):
        if 0 < float(value) < math.inf:
            return float(value)
    raise ConfigError(f"Invalid value for `{option}`: expected a number above 0, got {value!r}.")


def parse_duration(option: str, text: str | None) -> float | None:
    """Return the seconds of a time such as 2h, 90min, 1h30min or 45s, or None where the default is left.

    Raises:
        ConfigError: It is not such a time.
    """
    value = none_if_unset(text)
    if value is None:
        return None
    match = _DURATION.fullmatch(value.strip().lower())
    numbers = match.groupdict(default="0") if match else {}
    seconds = sum(float(number) * _SECONDS[unit] for unit, number in numbers.items())
    if seconds <= 0:
        raise ConfigError(f"Invalid value for `{option}`: expected a time such as 2h, 90min or 1h30min, got {value!r}.")
    return seconds


def parse_origin(option: str, text: str) -> str:
    """Return the origin of a web page as browsers send it, such as https://app.example.org, or * for any.

    Raises:
        ConfigError: It is not an origin.
    """
    with suppress(ValueError):  # of an address or a port that can be none
        parts = urlsplit(text.strip().lower())
        host = parts.hostname
        is_bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        if text.strip() == "*" or (parts.scheme in _DEFAULT_PORTS and host and is_bare and "*" not in host):
            port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
            host = f"[{host}]" if host and ":" in host else host
            return "*" if host is None else f"{parts.scheme}://{host}{port}"
    raise ConfigError(
        f"Invalid value for `{option}`: expected the origin of a page, such as https://app.example.org without a path, "
        f"or *, got {text!r}."
    )


def parse_list(text: str | None) -> tuple[str, ...]:
    """Return the values that commas separate; none where the default is left."""
    return tuple(part.strip() for part in (none_if_unset(text) or "").split(",") if part.strip())


def parse_seeds(option: str, text: str | None) -> int | tuple[int, ...] | None:
    """Return seeds that commas separate, or a number of seeds, or None where the default is left.

    Raises:
        ConfigError: They are neither.
    """
    value = none_if_unset(text)
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if len(parts) == 1:
        return parse_count(option, value)
    seeds = tuple(int(part) for part in parts if part.isdecimal() and int(part) < 2**31)
    if not seeds or len(seeds) < len([part for part in parts if part]):
        raise ConfigError(f"Invalid value for `{option}`: expected 3 or 0,1,7 for example, got {value!r}.")
    return seeds
