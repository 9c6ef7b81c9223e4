"""A file is replaced whole, or stays as it was."""

from __future__ import annotations

import pytest

from tinybench.core import atomic


def test_text_is_written(tmp_path):
    atomic.write_text(tmp_path / "a.json", "grün")
    assert (tmp_path / "a.json").read_text("utf-8") == "grün"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def _write_half(path):
    with atomic.replacing(path) as part:
        part.write_text("half")
        raise OSError("disk full")


def test_an_error_leaves_the_earlier_file_and_no_other(tmp_path):
    path = tmp_path / "a.json"
    atomic.write_text(path, "before")
    with pytest.raises(OSError, match="disk full"):
        _write_half(path)
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_the_earlier_file_is_readable_until_the_end(tmp_path):
    path = tmp_path / "a.json"
    atomic.write_text(path, "before")
    with atomic.replacing(path) as part:
        part.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        atomic.write_text(tmp_path / "missing" / "a.json", "text")
