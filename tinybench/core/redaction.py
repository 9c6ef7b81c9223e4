"""Remove secrets from logs, parameters and tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

_MIN_SECRET_LENGTH = 8  # shorter values may be ordinary words
_SECRET_NAME = re.compile(r"(?i)password|passwd|secret|token|credential|_key(_id)?$")
_FILE_NAME = re.compile(r"(?i)_(file|path|dir|url|uri)$")
_USER_INFO = re.compile(r"((?:postgresql|mysql)(?:\+\w+)?)?://([^\s'\"]*)@")  # to the last @: a password may have one
_ADDRESS_PASSWORD = re.compile(r"://[^\s:@/'\"]*:([^\s'\"]+)@")
_LOGGED_SECRETS = (
    re.compile(
        r"(?i)((?:token|password|passwd|secret|api[_-]?key|access[_-]?key)['\"]?\s*[=:]\s*)"
        r"(?:'[^']*'|\"[^\"]*\"|[^&\s]+)"
    ),
    re.compile(r"(?i)((?:signature|credential|\bsig)=)[^&\s'\"]+"),  # of presigned addresses
    re.compile(r"\b([Bb]asic\s+)(?=\S*[A-Z0-9=])[A-Za-z0-9+/]{8,}={0,2}"),
    re.compile(r"\b([Bb]earer\s+)\S+"),
    re.compile(r"(\[parameters: ).*"),  # SQLAlchemy appends the values of a statement that failed
)
_MARK = re.compile(r"[=:\s]")  # each of the patterns above needs one
_QUERY_PASSWORD = re.compile(r"(?i)[?&](?:password|passwd|token|secret|sslpassword)=([^&\s'\"]+)")


def redact(text: str) -> str:
    """Return a text with passwords in addresses, and values after words such as `token`, replaced by `***`."""
    text = _USER_INFO.sub(_hide_password, text)
    return re.sub(
        r"(?i)((?:token|password|secret|api[_-]?key|bearer)['\"]?[=:\s]+)('[^']*'|\"[^\"]*\"|\S+)", r"\1***", text
    )


def find_secrets(environment: Mapping[str, str]) -> list[str]:
    """Return the secrets among the values of environment variables, the longest first.

    They are the values of variables whose names say so, such as `AWS_SECRET_ACCESS_KEY`, and the passwords in
    addresses.
    """
    found = set(_list_secrets(environment))
    found |= {unquote(secret) for secret in found}
    return sorted((secret for secret in found if len(secret) >= _MIN_SECRET_LENGTH), key=len, reverse=True)


def redact_log(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text of a log with secrets replaced by `***`.

    Unlike `redact` it leaves sentences about passwords readable.

    Args:
        text: The text.
        secrets: What `find_secrets` found, besides what can be told from its form.
    """
    for secret in secrets:
        text = text.replace(secret, "***")
    if not _MARK.search(text):  # most paths: as cheap as a log of every request has to be
        return text
    text = _USER_INFO.sub(_hide_password, text)
    for pattern in _LOGGED_SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def _list_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if _SECRET_NAME.search(name) and not _FILE_NAME.search(name):
            yield value
        yield from _ADDRESS_PASSWORD.findall(value)
        yield from _QUERY_PASSWORD.findall(value)


def _hide_password(match: re.Match[str]) -> str:
    database, user_info = match[1] or "", match[2]
    user, colon, _ = user_info.partition(":")
    if colon:
        return f"{database}://{user}:***@"
    is_user = database and re.fullmatch(r"[\w.-]+", user)  # in other addresses it may be a token
    return match[0] if is_user else f"{database}://***@"
