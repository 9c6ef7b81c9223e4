"""A board of models with long names, and its ranks over several data sets."""

from __future__ import annotations

from tinybench.leaderboard.average_ranks import AverageRanks
from tinybench.leaderboard.dataset_board import BoardRow, DatasetBoard
from tinybench.leaderboard.entries import Entry
from tinybench.leaderboard.pairs import Pair
from tinybench.tracking.run_cache import StoredRun

NAMES = ("efficientnetv2b0 [finetune.lr 1e-05, head.dropout 0.25]", "convnextbase finetune", "resnet50")
METRICS = {"test/top5": 0.98765, "test/f1_macro": 0.87654, "efficiency/parameters": 24_163_656.0}


def board() -> DatasetBoard:
    run = StoredRun("0" * 32, "a run", "1", 0, 1, {}, METRICS, {})
    entries = tuple(Entry(run, run, "finetune", True, {"model": "resnet50"}, seed) for seed in range(3))
    rows = tuple(
        BoardRow(name, entries, 0.9 - number / 100, 0.88, 0.91, 0.0123, (1, 2 + number), number < 2)
        for number, name in enumerate(NAMES)
    )
    pairs = (
        Pair(NAMES[0], NAMES[1], 0.01, -0.0123, 0.0323, "unresolved", 12),
        Pair(NAMES[0], NAMES[2], 0.02, 0.0023, 0.0423, "better"),
        Pair(NAMES[1], NAMES[2], 0.001, -0.001, 0.003, "equivalent"),
    )
    left_out = {"runs without predictions": 3}
    hints = ("One seed only: convnextbase. It is assumed to vary over seeds as the others do.",)
    return DatasetBoard("tiny-imagenet", 10_000, "accuracy", 0.01, True, rows, pairs, left_out, hints)


def average_ranks() -> AverageRanks:
    return AverageRanks(("tiny-imagenet", "cifar100"), dict(zip(NAMES, (1.0, 2.0, 3.0), strict=True)), 2.34, ("vgg16",))
