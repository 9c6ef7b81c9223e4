"""Names of data sets: a folder is the same one from everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinybench.config.dataset_name import is_folder, make_absolute
from tinybench.data.load_request import is_named


def test_a_folder_is_known_by_its_whole_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos")
    monkeypatch.setenv("HOME", str(tmp_path))
    whole = f"folder:{tmp_path}/photos"
    assert [make_absolute(f"folder:{path}") for path in (".", "../photos", "~/photos", tmp_path / "photos")] == [
        whole
    ] * 4
    assert make_absolute("cifar10") == "cifar10"
    assert (is_folder(whole), is_folder("cifar10")) == (True, False)


def test_a_person_names_a_folder_by_any_path_or_its_short_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = f"folder:{tmp_path}/pets/pics"
    for given in (dataset, "folder:pets/pics", "folder:./pets/../pets/pics", "pics"):
        assert is_named(dataset, given)
    for given in ("pets/pics", "folder:pics", "pet", ""):
        assert not is_named(dataset, given)
    assert is_named("cifar10", "cifar10")
