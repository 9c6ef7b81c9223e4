"""Parse image files that a form or `curl -F image=@cat.jpg` sends, as multipart/form-data (RFC 7578)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.http import parse_options_header

from tinybench.inference.classifier import MAX_IMAGES
from tinybench.serving.protocol import COLUMN, RequestError

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage, MultiDict

MEDIA_TYPE = "multipart/form-data"
_TOP_K = "top_k"
_MAX_FIELD_BYTES = (
    128 * 1024
)  # of a part's headers, and of a field that is no file; the parser reads half of it at once
_MAX_DIGITS = 18
_HINT = "Send files by curl -F image=@cat.jpg -F image=@dog.png, and -F top_k=3 if you like."


def parse_form(body: bytes, content_type: str) -> tuple[list[bytes], dict[str, Any]]:
    """Return the image files of a form in their order, and its parameters.

    The names of the files are not read. Nothing is written to disk.

    Args:
        body: The body of the request.
        content_type: The value of its header, with the boundary of the parts.

    Raises:
        RequestError: It is no such form, or has other fields.
    """
    fields, files = _parse_parts(body, content_type)
    unknown = [name for name in {**fields, **files} if name not in (COLUMN, _TOP_K)]
    if unknown:
        raise RequestError(f"Expected the fields {COLUMN} and {_TOP_K}, got {str(unknown[0])[:40]!r}. {_HINT}")
    if COLUMN in fields or _TOP_K in files:
        raise RequestError(f"Expected {COLUMN} as a file, with an @ before its name, and {_TOP_K} as a number. {_HINT}")
    if COLUMN not in files:
        raise RequestError(f"Expected at least one file named {COLUMN}, got none. {_HINT}")
    return [file.stream.read() for file in files.getlist(COLUMN)], _read_params(fields.getlist(_TOP_K))


def _parse_parts(body: bytes, content_type: str) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
    """Return the fields and the files of a form."""
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise RequestError(f"Expected {MEDIA_TYPE} with the boundary of its parts, got none. {_HINT}")
    parser = MultiPartParser(
        stream_factory=_open_buffer,
        max_form_memory_size=_MAX_FIELD_BYTES,
        max_form_parts=MAX_IMAGES + 1,
    )
    try:
        return parser.parse(io.BytesIO(body), boundary.encode("ascii"), len(body))
    except RequestEntityTooLarge:
        raise RequestError(
            f"Expected at most {MAX_IMAGES:,} files and short fields, got a form that exceeds it: send fewer at once."
        ) from None
    except ValueError:  # of the parser, and of text that is not UTF-8
        raise RequestError(f"The form cannot be read: it is cut off or damaged. {_HINT}") from None


def _open_buffer(
    total_content_length: int | None,
    content_type: str | None,
    filename: str | None,
    content_length: int | None = None,
) -> io.BytesIO:
    """Return where the parser writes a file: into memory, where the body is already, which has a limit."""
    return io.BytesIO()


def _read_params(values: list[str]) -> dict[str, Any]:
    """Return the parameters; the classifier checks what the number is."""
    if len(values) > 1:
        raise RequestError(f"Expected {_TOP_K} once, got it {len(values)} times.")
    if not values:
        return {}
    (text,) = values
    return {_TOP_K: int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else text}
