"""Format the traceback of an exception without what a client sent."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

_SAFE_TYPES = (OSError, AttributeError, ImportError, NameError, MemoryError, RecursionError)
_SAFE_PACKAGES = ("botocore.", "urllib3.", "requests.")
_DATABASE_PACKAGES = ("sqlalchemy.", "psycopg", "sqlite3", "pymysql")
_SAFE_DATABASE_ERRORS = ("OperationalError", "InterfaceError", "TimeoutError")  # others quote values


def format_without_values(error: BaseException) -> str:
    """Return the traceback of an exception that was raised while a request was answered.

    The message of an exception is replaced by `…`, since it may quote the request, unless it is of a kind that speaks
    of files, connections or code.
    """
    return "\n".join(_format_chain(error, set()))


def _format_chain(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _format_chain(earlier, seen)
        yield "It led to:"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    yield f"{name}: {error if _has_safe_message(error) else '…'}"


def _has_safe_message(error: BaseException) -> bool:
    module = type(error).__module__
    if module.startswith(_DATABASE_PACKAGES):
        return type(error).__name__ in _SAFE_DATABASE_ERRORS
    return isinstance(error, _SAFE_TYPES) or module.startswith(_SAFE_PACKAGES)
