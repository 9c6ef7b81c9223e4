"""What a request asks: MLflow's scoring protocol, or a picture as it is. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_FORMS = ("inputs", "instances", "dataframe_split", "dataframe_records")
_COLUMN = "image"
_HOW = 'Send {"inputs": ["<base64 of a JPEG, PNG or WebP file>"]}, or the file itself as image/jpeg.'


class RequestError(Exception):
    """A request that cannot be answered, with its HTTP status; the message is a sentence for whoever sent it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def pictures(body: bytes, content_type: str) -> tuple[Sequence[Any], dict[str, Any]]:
    """The pictures of a request, and its parameters.

    Raises:
        RequestError: it is not what the protocol says.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        if not body:
            raise RequestError(f"Expected a picture, got an empty body. {_HOW}")
        return [body], {}
    if kind not in ("application/json", ""):
        raise RequestError(f"Expected application/json or image/…, got {kind[:60]!r}. {_HOW}", 415)
    asked = _json(body)
    known = [form for form in _FORMS if form in asked]
    if len(known) != 1:
        given = ", ".join(repr(key[:40]) for key in sorted(asked)[:5]) or "nothing"
        raise RequestError(f"Expected one of {', '.join(_FORMS)}, got {given}. {_HOW}")
    params = asked.get("params")
    params = {} if params is None else params  # as MLflow takes null
    if not isinstance(params, dict) or set(params) - {"top_k"}:
        raise RequestError('Expected params as {"top_k": 3}.')
    return _listed(known[0], asked[known[0]]), params


def _json(body: bytes) -> dict[str, Any]:
    if not body:
        raise RequestError(f"Expected a JSON object, got an empty body. {_HOW}")
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else "it is no valid JSON"
        raise RequestError(f"The body cannot be read: {why}. {_HOW}") from None
    if not isinstance(asked, dict):
        raise RequestError(f"Expected a JSON object, got {type(asked).__name__}. {_HOW}")
    return asked


def _listed(form: str, value: Any) -> Sequence[Any]:
    """The pictures of each of MLflow's forms."""
    if form == "dataframe_split":
        rows = value.get("data") if isinstance(value, Mapping) else None
        if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 1 for row in rows):
            raise RequestError("Expected dataframe_split as one column of pictures.")
        return [row[0] for row in rows]
    if form == "dataframe_records" or (
        form == "instances" and isinstance(value, list) and value and isinstance(value[0], dict)
    ):
        if not isinstance(value, list) or not all(isinstance(row, dict) and len(row) == 1 for row in value):
            raise RequestError(f'Expected {form} as a list of {{"{_COLUMN}": picture}}.')
        return [next(iter(row.values())) for row in value]
    if isinstance(value, dict):
        if len(value) != 1:
            raise RequestError(f'Expected {form} as a list of pictures, or {{"{_COLUMN}": [...]}}.')
        value = next(iter(value.values()))
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise RequestError(f"Expected {form} as a list of pictures, got {type(value).__name__}.")
    return value
