"""A text file is read in the encoding that its byte order mark names."""

from __future__ import annotations

import pytest

from tinybench.core import text_file

TEXT = "név = 'café'\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_byte_order_mark_is_understood_and_left_out(tmp_path, encoding):
    file = tmp_path / "a.toml"
    file.write_bytes(TEXT.encode(encoding))
    assert text_file.read(file) == TEXT


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_utf_16_in_either_order(tmp_path, mark):
    file = tmp_path / "a.toml"
    file.write_bytes(("\ufeff" + TEXT).encode(mark))
    assert text_file.read(file) == TEXT


def test_line_ends_of_other_systems(tmp_path):
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert text_file.read(file) == "a = 1\nb = 2\n"


@pytest.mark.parametrize(
    "content", [TEXT.encode("latin-1"), b"\xff\xfea", b"\xff\xfe\x00\xd8"], ids=["latin-1", "half", "surrogate"]
)
def test_another_encoding_is_told_with_the_way_out(tmp_path, content):
    file = tmp_path / "a.toml"
    file.write_bytes(content)
    with pytest.raises(UnicodeError) as caught:
        text_file.read(file)
    assert text_file.describe_error(caught.value) == "it is not UTF-8 text: save it as UTF-8."


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(OSError) as caught:
        text_file.read(tmp_path / "absent.toml")
    assert text_file.describe_error(caught.value) == "No such file or directory. Check the path."
