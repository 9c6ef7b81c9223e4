"""Parse requests: MLflow's scoring protocol, or an image file as the body; forms are in `serving.multipart`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_FORMS = ("inputs", "instances", "dataframe_split", "dataframe_records")
COLUMN = "image"
"""The name of the images where they have one: the column of a table, the field of a form."""
_HINT = (
    'Send {"inputs": ["<base64 of a JPEG, PNG or WebP file>"]}, the file itself as image/jpeg, or files by '
    "curl -F image=@cat.jpg."
)


class RequestError(Exception):
    """A request that cannot be parsed, with its HTTP status; the message is a sentence for the client."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def parse_request(body: bytes, content_type: str) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the images of a request and its parameters.

    Args:
        body: The body of the request.
        content_type: The value of its header, or empty.

    Raises:
        RequestError: It does not follow the protocol.
    """
    kind = media_type(content_type)
    if kind.startswith("image/") or kind == "application/octet-stream":
        if not body:
            raise RequestError(f"Expected an image, got an empty body. {_HINT}")
        return [body], {}
    if kind not in ("application/json", ""):
        raise RequestError(
            f"Expected application/json, multipart/form-data or image/…, got {kind[:60]!r}. {_HINT}", 415
        )
    content = _parse_json(body)
    forms = [form for form in _FORMS if form in content]
    if len(forms) != 1:
        keys = ", ".join(repr(key[:40]) for key in sorted(content)[:5]) or "nothing"
        raise RequestError(f"Expected one of {', '.join(_FORMS)}, got {keys}. {_HINT}")
    params = content.get("params")
    params = {} if params is None else params  # as MLflow takes null
    if not isinstance(params, dict) or set(params) - {"top_k"}:
        raise RequestError('Expected params as {"top_k": 3}.')
    return _list_images(forms[0], content[forms[0]]), params


def media_type(content_type: str) -> str:
    """Return the media type of a header, such as `image/jpeg`, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def _parse_json(body: bytes) -> dict[str, Any]:
    if not body:
        raise RequestError(f"Expected a JSON object, got an empty body. {_HINT}")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else "it is no valid JSON"
        raise RequestError(f"The body cannot be read: {reason}. {_HINT}") from None
    if not isinstance(content, dict):
        raise RequestError(f"Expected a JSON object, got {type(content).__name__}. {_HINT}")
    return content


def _list_images(form: str, value: Any) -> Sequence[Any]:
    """Return the images in one of MLflow's forms."""
    if form == "dataframe_split":
        rows = value.get("data") if isinstance(value, Mapping) else None
        if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 1 for row in rows):
            raise RequestError("Expected dataframe_split as one column of images.")
        return [row[0] for row in rows]
    if form == "dataframe_records" or (
        form == "instances" and isinstance(value, list) and value and isinstance(value[0], dict)
    ):
        if not isinstance(value, list) or not all(isinstance(row, dict) and len(row) == 1 for row in value):
            raise RequestError(f'Expected {form} as a list of {{"{COLUMN}": image}}.')
        return [next(iter(row.values())) for row in value]
    if isinstance(value, dict):
        if len(value) != 1:
            raise RequestError(f'Expected {form} as a list of images, or {{"{COLUMN}": [...]}}.')
        value = next(iter(value.values()))
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise RequestError(f"Expected {form} as a list of images, got {type(value).__name__}.")
    return value
