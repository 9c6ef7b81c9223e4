"""Compressed bodies are read as what they were, up to a limit, or refused with a sentence."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybench.serving.content_encoding import unpack
from tinybench.serving.protocol import RequestError

BODY = b'{"inputs": ["abc"]}' * 500


def raw_deflate(body):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (BODY, ""),
        (BODY, "identity"),
        (gzip.compress(BODY, mtime=0), "gzip"),
        (gzip.compress(BODY, mtime=0), " GZIP "),
        (gzip.compress(BODY, mtime=0), "x-gzip"),
        (gzip.compress(BODY, mtime=0), "identity, gzip"),
        (gzip.compress(BODY[:700], mtime=0) + gzip.compress(BODY[700:], mtime=0), "gzip"),
        (zlib.compress(BODY), "deflate"),
        (raw_deflate(BODY), "deflate"),
    ],
)
def test_a_body_is_what_it_was(packed, encoding):
    assert unpack(packed, encoding, len(BODY)) == BODY


@pytest.mark.parametrize(
    ("packed", "encoding", "status", "words"),
    [
        (b"x", "br", 415, "Expected Content-Encoding gzip or deflate, or none, got 'br'."),
        (b"x", "zstd", 415, "got 'zstd'"),
        (b"x", "gzip, gzip", 415, "got 'gzip, gzip'"),
        (b"x", "y" * 1000, 415, "yyy"),
        (BODY, "gzip", 400, "The body cannot be unpacked: it is not gzip, or cut off."),
        (gzip.compress(BODY, mtime=0)[:-9], "gzip", 400, "cut off"),
        (gzip.compress(BODY, mtime=0) + b"rest", "gzip", 400, "not gzip"),
        (zlib.compress(BODY)[:-5], "deflate", 400, "it is not deflate, or cut off"),
        (raw_deflate(BODY)[:-5], "deflate", 400, "cut off"),
        (
            gzip.compress(BODY * 100, mtime=0),
            "gzip",
            413,
            "larger than the 0 MB that this server takes, once it is unpacked",
        ),
    ],
)
def test_other_bodies_are_refused(packed, encoding, status, words):
    with pytest.raises(RequestError) as caught:
        unpack(packed, encoding, len(BODY))
    assert caught.value.status == status
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "pack", [gzip.compress, zlib.compress, raw_deflate, lambda body: gzip.compress(body[:99], mtime=0) * 9]
)
def test_a_bomb_is_unpacked_no_further_than_the_limit(pack):
    packed = pack(bytes(200_000_000))
    assert len(packed) < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="once it is unpacked"):
            unpack(packed, "gzip" if packed[:2] == b"\x1f\x8b" else "deflate", 800)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]))
def test_whatever_bytes_come_they_are_unpacked_or_refused(body, encoding):
    with suppress(RequestError):
        assert len(unpack(body, encoding, 1000)) <= 1000
