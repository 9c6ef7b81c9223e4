"""Keeping secrets out of logs, parameters and tags."""

from __future__ import annotations

import re


def without_secrets(text: str) -> str:
    """The text with passwords in addresses and values of secret-looking options hidden."""
    text = re.sub(r"://([^\s'\"]*)@", _hidden_user, text)  # to the last @: a password may hold one
    return re.sub(
        r"(?i)((?:token|password|secret|api[_-]?key|bearer)['\"]?[=:\s]+)('[^']*'|\"[^\"]*\"|\S+)", r"\1***", text
    )


def _hidden_user(match: re.Match[str]) -> str:
    user, colon, _ = match[1].partition(":")
    return f"://{user}:***@" if colon else "://***@"
