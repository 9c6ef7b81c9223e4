"""Remove secrets from logs, parameters and tags."""

from __future__ import annotations

import re


def redact(text: str) -> str:
    """Return a text with passwords in addresses, and values after words such as `token`, replaced by `***`."""
    text = re.sub(r"://([^\s'\"]*)@", _hide_password, text)  # up to the last @, since a password may contain one
    return re.sub(
        r"(?i)((?:token|password|secret|api[_-]?key|bearer)['\"]?[=:\s]+)('[^']*'|\"[^\"]*\"|\S+)", r"\1***", text
    )


def _hide_password(match: re.Match[str]) -> str:
    user, colon, _ = match[1].partition(":")
    return f"://{user}:***@" if colon else "://***@"
