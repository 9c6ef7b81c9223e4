"""What tests of boards share."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_boards import MadeStore
from stores import fresh

from tinybench.leaderboard.board import DatasetBoard, build_boards
from tinybench.tracking.tracker import Tracker


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeStore:
    monkeypatch.setenv("TINYBENCH_CACHE", str(tmp_path / "cache"))
    return MadeStore(fresh(tmp_path_factory))


def build_board(made: MadeStore, **options) -> DatasetBoard:
    """Build the only board of a store."""
    (board,) = build_boards(Tracker.at(made.uri), **options)
    return board
