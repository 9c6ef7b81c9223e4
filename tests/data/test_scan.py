"""Listing folders: what systems leave in them is never counted, and numbers sort as numbers."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybench.commands.image_files import find_images
from tinybench.data import scan
from tinybench.data.archive import open_tree

LEFT = (
    "a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
    "__MACOSX/a/._1.jpg",
    "a/._1.jpg",
    "$RECYCLE.BIN/1.jpg",
    "a/.ipynb_checkpoints/1.jpg",
    "a/Thumbs.db",
    "a/desktop.ini",
    "lost+found/1.jpg",
    "#recycle/1.jpg",
    "@Recycle/1.jpg",
    "FOUND.000/1.jpg",
)
WANTED = "a/1.jpg"


def _folder(path: Path) -> Path:
    for name in (*LEFT, WANTED):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"x")
    return path


def _zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*LEFT, WANTED):
            archive.writestr(name, b"x")
    return path


def _tar(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in (*LEFT, WANTED):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    return path


@pytest.mark.parametrize("make", [_folder, _zip, _tar])
def test_every_reader_skips_what_systems_leave(make, tmp_path):
    with open_tree(make(tmp_path / "made")) as tree:
        assert tree.names == [WANTED]


def test_pictures_to_predict_are_found_without_what_systems_leave(tmp_path):
    assert find_images([_folder(tmp_path)]) == [tmp_path / WANTED]


def test_numbers_sort_as_numbers():
    assert sorted(["10", "2", "0", "11", "1"], key=scan.natural_key) == ["0", "1", "2", "10", "11"]
    assert sorted(["c10", "c", "c2", "b"], key=scan.natural_key) == ["b", "c", "c2", "c10"]


@given(
    st.lists(st.text("01a", max_size=4), unique=True).flatmap(lambda names: st.tuples(*[st.permutations(names)] * 2))
)
def test_the_order_of_names_is_total(orders):
    assert sorted(orders[0], key=scan.natural_key) == sorted(orders[1], key=scan.natural_key)
