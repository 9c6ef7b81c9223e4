"""Unpack bodies that a client compressed, up to a limit of their unpacked size."""

from __future__ import annotations

import zlib

from tinybench.serving.protocol import RequestError

ENCODINGS = ("gzip", "deflate")
_ALIASES = {"x-gzip": "gzip"}
_ANY_HEADER = 32 + zlib.MAX_WBITS  # zlib finds by itself whether a body is gzip or zlib
_NO_HEADER = -zlib.MAX_WBITS  # of `deflate` as some clients write it
_CHUNK = 1 << 20


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body as it was before it was compressed.

    Args:
        body: The body of a request.
        encoding: The value of its header `Content-Encoding`, or empty.
        limit: Largest unpacked size in bytes.

    Raises:
        RequestError: The encoding is another one, or several; or the body is damaged, or too large.
    """
    names = [name for text in encoding.split(",") if (name := text.strip().lower()) not in ("", "identity")]
    if not names:
        return body
    name = _ALIASES.get(names[0], names[0])
    if len(names) > 1 or name not in ENCODINGS:
        given = encoding.strip()[:60]
        raise RequestError(f"Expected Content-Encoding {' or '.join(ENCODINGS)}, or none, got {given!r}.", 415)
    try:
        return _inflate(body, _NO_HEADER if name == "deflate" and not _is_zlib(body) else _ANY_HEADER, limit)
    except (zlib.error, EOFError):
        raise RequestError(f"The body cannot be unpacked: it is not {name}, or cut off.") from None


def _inflate(body: bytes, window_bits: int, limit: int) -> bytes:
    """Return what the members of a compressed body hold; a gzip file may have several.

    Raises:
        EOFError: The last one is cut off.
    """
    chunks: list[bytes] = []
    size = 0
    while body:
        member = zlib.decompressobj(window_bits)
        pending = body
        while not member.eof:
            chunk = member.decompress(pending, min(_CHUNK, limit - size + 1))
            pending = member.unconsumed_tail
            size += len(chunk)
            if size > limit:
                raise RequestError(
                    f"The body is larger than the {limit / 1e6:,.0f} MB that this server takes, once it is unpacked: "
                    "send fewer images.",
                    413,
                )
            if not chunk and not pending and not member.eof:
                raise EOFError
            chunks.append(chunk)
        body = member.unused_data
    return b"".join(chunks)


def _is_zlib(body: bytes) -> bool:
    """Return whether a body begins as zlib's format does (RFC 1950)."""
    return len(body) >= 2 and body[0] & 15 == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
