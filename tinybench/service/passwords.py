"""Make passwords of users, and refuse those that are easily guessed."""

from __future__ import annotations

import secrets

from tinybench.core.errors import ConfigError

MIN_PASSWORD_LENGTH = 12  # MLflow's own minimum
_KNOWN_PASSWORDS = frozenset(
    {
        "password1234",
        "password12345",
        "password123456",
        "administrator",
        "adminadmin12",
        "admin1234567",
        "changeme1234",
        "changemechangeme",
        "mlflowmlflow",
        "mlflow123456",
        "tinybench123",
        "123456789012",
        "1234567890123",
        "qwertyuiop12",
        "letmeinletmein",
        "secretsecret",
        "passwordpassword",
        "correcthorsebatterystaple",
    }
)


def generate() -> str:
    """Return a new random password."""
    return secrets.token_urlsafe(24)


def check(option: str, password: str, username: str) -> None:
    """Refuse a password that is short, known, or that the server would not accept everywhere.

    Raises:
        ConfigError: The password is none of the user's own; the message does not contain it.
    """
    if len(password) < MIN_PASSWORD_LENGTH:
        raise ConfigError(
            f"Invalid value for {option}: expected at least {MIN_PASSWORD_LENGTH} characters, got {len(password)}."
        )
    if not (password.isascii() and password.isprintable()):  # MLflow decodes that of an artifact's request as ASCII
        raise ConfigError(f"Invalid value for {option}: expected letters, digits and signs of ASCII in one line.")
    is_repeated = len(set(password)) < 4
    if password.lower() in _KNOWN_PASSWORDS or is_repeated or username.lower() == password.lower():
        raise ConfigError(
            f"Invalid value for {option}: it is one that everybody tries first. Make one by: "
            "python -c 'import secrets; print(secrets.token_urlsafe(24))'"
        )
