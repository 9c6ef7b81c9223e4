"""On made answers, boards are wrong no more often than they say, and find what there is to find."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import board_errors
from benchmarks.board_errors import Setting
from tinybench.leaderboard import critical_value

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
BOARDS = 300
CHANCE = 1.645 * (0.05 * 0.95 / BOARDS) ** 0.5  # that a share of so many boards is larger than 5 %


def test_equal_models_are_seldom_called_better():
    boards = board_errors.simulate_boards(Setting((0.9,) * 8), BOARDS)
    assert np.mean([*map(board_errors.calls_better, boards)]) < 0.05 + CHANCE


def test_two_points_are_found():
    boards = board_errors.simulate_boards(Setting((0.9,) * 7 + (0.92,)), BOARDS // 3)
    assert board_errors.share_of_pairs(boards, "better", "m7") > 0.8


def test_rank_intervals_cover_the_ranks():
    setting = Setting(tuple(0.9 + 0.004 * number for number in range(8)))
    boards = board_errors.simulate_boards(setting, BOARDS // 3)
    assert np.mean([board_errors.covers_ranks(setting, board) for board in boards]) > 0.95 - CHANCE


def test_looking_again_after_each_seed_does_not_find_more():
    setting = Setting((0.9,) * 2, seeds=critical_value.LOOKS[1])
    wrong = [board_errors.calls_better_at_any_look(setting, seed) for seed in range(BOARDS // 3)]
    assert np.mean(wrong) < 0.05 + 2 * CHANCE
