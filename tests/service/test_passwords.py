"""Passwords: which are taken, and those that are made."""

from __future__ import annotations

import pytest

from tinybench.core.errors import ConfigError
from tinybench.service import passwords


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 12"),
        ("password1234", "tries first"),
        ("PassWord1234", "tries first"),
        ("abababababab", "tries first"),
        ("the-user-herself", "tries first"),
        ("schlüssel-des-tages", "ASCII"),
        ("two lines\nof secret", "ASCII"),
    ],
)
def test_a_weak_password_is_refused_and_not_repeated(password: str, reason: str):
    with pytest.raises(ConfigError, match=reason) as refusal:
        passwords.check("`--password-file`", password, "The-User-Herself")
    assert password not in str(refusal.value)


def test_a_password_that_was_made_is_taken_and_made_once():
    made = {passwords.generate() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        passwords.check("the password", password, "ada")
