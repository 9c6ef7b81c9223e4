"""Files that a form sends: read in their order, or refused with a sentence; their names are never used."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tinybench.inference.classifier import MAX_IMAGES
from tinybench.serving import multipart
from tinybench.serving.protocol import RequestError

BOUNDARY = "XX"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(files=(), fields=()) -> tuple[bytes, str]:
    """A form as the library `requests` writes it."""
    made = requests.Request("POST", "http://x", files=list(files), data=list(fields)).prepare()
    return made.body, made.headers["content-type"]


def part(header: str, content: bytes = b"x") -> bytes:
    return f"--{BOUNDARY}\r\n{header}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
IMAGE = 'Content-Disposition: form-data; name="image"; filename="a.png"'


def test_files_come_in_their_order_with_their_parameter():
    files = [("image", ("b.png", b"\r\n--XX\r\n\x00\xff")), ("image", ("a.png", b"2" * 200_000))]
    images, params = multipart.parse_form(*form(files, [("top_k", "3")]))
    assert images == [b"\r\n--XX\r\n\x00\xff", b"2" * 200_000]
    assert params == {"top_k": 3}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/dev/null", "a\x00b", "x" * 5000, "ä.png", '"; name="top_k', ""])
def test_the_name_of_a_file_does_not_matter(name, tmp_path):
    header = f'Content-Disposition: form-data; name="image"; filename="{name}"'
    if name.startswith('"'):
        header = r'Content-Disposition: form-data; name="image"; filename="\"; name=\"top_k"'
    assert multipart.parse_form(part(header) + END, TYPE) == ([b"x"], {})
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (part(IMAGE) + END, "multipart/form-data", "with the boundary of its parts, got none"),
        (part(IMAGE) + END, "multipart/form-data; boundary=", "got none"),
        (part(IMAGE) + END, 'multipart/form-data; boundary="ä"', "The form cannot be read"),
        (part(IMAGE) + END, "multipart/form-data; boundary=other", "cut off or damaged"),
        (b"", TYPE, "cut off or damaged"),
        (part(IMAGE), TYPE, "cut off or damaged"),
        (part(IMAGE)[:-5], TYPE, "cut off or damaged"),
        (part("Content-Type: image/png") + END, TYPE, "cut off or damaged"),
        (part("\xff\xfe: a") + END, TYPE, "cut off or damaged"),
        (END, TYPE, "Expected at least one file named image, got none"),
        (
            part('Content-Disposition: form-data; name="image"') + END,
            TYPE,
            "Expected image as a file, with an @ before its name",
        ),
        (part(IMAGE.replace("image", "top_k")) + END, TYPE, "and top_k as a number. Send files"),
        (part(IMAGE.replace("image", "file")) + END, TYPE, "Expected the fields image and top_k, got 'file'"),
        (part(IMAGE.replace('name="image"; ', "")) + END, TYPE, "Expected the fields image and top_k, got 'None'"),
        (part(IMAGE + "\r\nx: " + "y" * 300_000) + END, TYPE, "Expected at most 1,024 files and short fields"),
        (part('Content-Disposition: form-data; name="top_k"', b"1" * 300_000) + END, TYPE, "short fields"),
        (part(IMAGE) * (MAX_IMAGES + 2) + END, TYPE, "Expected at most 1,024 files"),
        (part(IMAGE) + part('Content-Disposition: form-data; name="top_k"') * 2 + END, TYPE, "once, got it 2 times"),
    ],
)
def test_what_is_no_form_is_told_in_a_sentence(body, kind, words):
    with pytest.raises(RequestError) as caught:
        multipart.parse_form(body, kind)
    assert words in str(caught.value)
    assert caught.value.status == 400
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_number_that_is_none_is_left_to_the_classifier():
    for text, value in (("abc", "abc"), ("0", 0), ("-1", "-1"), ("9" * 5000, "9" * 5000), ("²", "²")):
        assert multipart.parse_form(*form([("image", ("a", b"x"))], [("top_k", text)]))[1] == {"top_k": value}


def test_as_many_images_as_a_request_may_have():
    assert len(multipart.parse_form(part(IMAGE) * MAX_IMAGES + END, TYPE)[0]) == MAX_IMAGES


@pytest.mark.parametrize("filler", [b"\r\n", b"\n", b"\r", b"--XX", b"\r\n--XX", b"\r\n--XX ", b"\x00", b"--"])
def test_a_large_body_is_read_in_seconds_whatever_is_in_it(filler):
    content = filler * (32_000_000 // len(filler))
    began = time.perf_counter()
    with suppress(RequestError):
        multipart.parse_form(part(IMAGE, content) + END, TYPE)
    assert time.perf_counter() - began < 20


@given(
    st.lists(st.sampled_from([b"--XX", b"--", b"\r\n", b"\n", b"\r", IMAGE.encode(), b"\xff", b";", b'name="image"']))
)
def test_whatever_bytes_come_they_are_read_or_refused(pieces):
    try:
        images, params = multipart.parse_form(b"".join(pieces), TYPE)
    except RequestError:
        return
    assert images
    assert set(params) <= {"top_k"}
