"""Keeping secrets out of logs, parameters and tags."""

from __future__ import annotations

import re


def without_secrets(text: str) -> str:
    """The text with passwords in addresses and values of secret-looking options hidden."""
    text = re.sub(r"(://[^:/@\s]*:)[^@\s]+@", r"\1***@", text)
    return re.sub(r"(?i)((?:token|password|secret|api_?key)[=\s]+)\S+", r"\1***", text)
