"""The memory of a task or job of a cluster, as the option `--memory` names it."""

from __future__ import annotations

from tinybench.config.fields import byte_size
from tinybench.core.errors import ConfigError


def parse_memory(memory: str) -> int:
    """Return the bytes that the option `--memory` names.

    Raises:
        ConfigError: It is not a size.
    """
    kind = byte_size()
    try:
        return int(kind.parse(memory))
    except ValueError:
        raise ConfigError(f"Invalid value for `--memory`: expected {kind.expected}, got {memory!r}.") from None
