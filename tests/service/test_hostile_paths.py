"""What clients name is not removed outside the artifacts, and what cannot be read is not left out of a backup."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tinybench.core.errors import TrackingError
from tinybench.service.backup import artifact_stores
from tinybench.service.collection import removal
from tinybench.service.collection.destination import LocalFolder


@pytest.mark.parametrize(
    "path", ["4/traces/../../outside", "4/traces/../../../outside", "..", "4/..", "4//x", "4/./x", ""]
)
def test_a_folder_is_removed_inside_the_destination_alone(tmp_path: Path, path: str):
    for kept in ("artifacts/4/traces", "artifacts/outside", "outside"):
        (tmp_path / kept).mkdir(parents=True)
        (tmp_path / kept / "file").write_text("kept")
    with pytest.raises(OSError, match="no name"):
        LocalFolder(tmp_path / "artifacts").remove_folder(path)
    assert len([*tmp_path.rglob("file")]) == 3


@pytest.mark.parametrize(
    ("name", "expected"), [("tr-1", True), ("../x", False), ("..", False), ("", False), ("/x", False)]
)
def test_the_id_of_a_trace_is_a_name(name: str, expected: bool):
    assert removal._is_folder_name(name) is expected


def test_a_folder_that_cannot_be_read_is_an_error_of_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "1/private").mkdir(parents=True)
    (tmp_path / "1/file").write_text("x")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(TrackingError, match=r"Cannot read .*private: Permission denied\. Run this as the user"):
        list(artifact_stores.FolderArtifacts(tmp_path).list_files())
