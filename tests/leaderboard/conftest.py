"""What tests of boards share."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_boards import MadeStore
from stores import fresh


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeStore:
    monkeypatch.setenv("TINYBENCH_CACHE", str(tmp_path / "cache"))
    return MadeStore(fresh(tmp_path_factory))
