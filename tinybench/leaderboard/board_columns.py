"""The columns of a board: what they show as text, and in which order they sort it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tinybench.config.run_config import PHASES
from tinybench.core.errors import ConfigError
from tinybench.core.metric_text import format_interval, format_metric, is_defined
from tinybench.core.printable_text import make_printable
from tinybench.core.suggestion import suggest
from tinybench.leaderboard import published
from tinybench.leaderboard.ranking_metrics import METRICS

if TYPE_CHECKING:
    from tinybench.leaderboard.dataset_board import BoardRow, DatasetBoard
    from tinybench.leaderboard.failed_cells import FailedCell

_REVERSED = "-"
_REPRODUCED = ("above", "yes", "below")


@dataclass(frozen=True)
class BoardColumn:
    """A column of a board.

    Attributes:
        title: The heading; that of the board's metric if empty.
        read: Returns the value of a row, as text.
        sort_value: Returns that by which rows are sorted; None or NaN where there is nothing to sort by.
        is_number: Whether it is a number, which is aligned at the right.
        lower_first: Whether sorting begins with the lowest value; None if with the best of the board's metric.
        metric: The stored metric that it shows; empty if it shows something else.
        read_failed: Returns what it says of a failed cell.
    """

    title: str
    read: Callable[[BoardRow], str]
    sort_value: Callable[[BoardRow], Any]
    is_number: bool = True
    lower_first: bool | None = None
    metric: str = ""
    read_failed: Callable[[FailedCell], str] = lambda cell: ""


def _metric_column(
    title: str, metric: str, spec: str = ".4f", unit: float = 1.0, *, lower_first: bool = True
) -> BoardColumn:
    return BoardColumn(
        title,
        lambda row: format_metric(row.mean(metric) / unit, spec),
        lambda row: row.mean(metric),
        lower_first=lower_first,
        metric=metric,
    )


def _score_column(title: str, metric: str) -> BoardColumn:
    return _metric_column(title, metric, lower_first=False)


def _text_column(title: str, read: Callable[[BoardRow], str], read_failed: Callable[[FailedCell], str]) -> BoardColumn:
    return BoardColumn(
        title,
        lambda row: make_printable(read(row)),
        lambda row: read(row).casefold(),
        is_number=False,
        lower_first=True,
        read_failed=lambda cell: make_printable(read_failed(cell)),
    )


def _format_ranks(row: BoardRow) -> str:
    lowest, highest = row.ranks
    return str(lowest) if lowest == highest else f"{lowest}-{highest}"


def _format_reproduced(row: BoardRow) -> str:
    place = published.compare_published(row)
    return "" if place is None else place


def _find_published(row: BoardRow) -> float | None:
    return published.find_published(row, f"test/{row.metric}")


COLUMNS = {
    "rank": BoardColumn("rank", _format_ranks, lambda row: row.ranks, lower_first=True),
    "model": _text_column("model", lambda row: row.name, lambda cell: cell.model),
    "dataset": _text_column("data set", lambda row: row.entries[0].dataset, lambda cell: cell.dataset),
    "phase": BoardColumn(
        "phase",
        lambda row: row.entries[0].phase,
        lambda row: PHASES.index(row.entries[0].phase),
        False,
        lower_first=True,
    ),
    "value": BoardColumn("", lambda row: format_metric(row.value), lambda row: row.value),
    "interval": BoardColumn("95 % interval", lambda row: format_interval(row.low, row.high), lambda row: row.low),
    "sd": BoardColumn(
        "sd over seeds", lambda row: format_metric(row.deviation), lambda row: row.deviation, lower_first=True
    ),
    "seeds": BoardColumn("seeds", lambda row: str(len(row.entries)), lambda row: len(row.entries), lower_first=False),
    "loss": _metric_column("log loss", "test/log_loss"),
    "top1": _score_column("test top-1", "test/accuracy"),
    "top5": _score_column("top-5", "test/top5"),
    "balanced": _score_column("balanced", "test/balanced_accuracy"),
    "f1": _score_column("F1", "test/f1_macro"),
    "auc": _score_column("AUC", "test/auc_ovr_macro"),
    "ece": _metric_column("ECE", "test/ece"),
    "val_loss": _metric_column("val loss", "best/val_loss"),
    "val_top1": _score_column("val top-1", "best/val_accuracy"),
    "val_top5": _score_column("val top-5", "best/val_top5"),
    "parameters": _metric_column("params M", "efficiency/parameters", ".2f", 1e6),
    "size": _metric_column("weights MB", "efficiency/weight_bytes", ".1f", 1e6),
    "p50": _metric_column("CPU p50 ms", "efficiency/cpu_latency_p50_ms", ".2f"),
    "p99": _metric_column("CPU p99 ms", "efficiency/cpu_latency_p99_ms", ".2f"),
    "gpu": _metric_column("GPU p50 ms", "efficiency/gpu_latency_p50_ms", ".2f"),
    "memory": _metric_column("memory MB", "efficiency/cpu_memory_peak_bytes", ".0f", 1e6),
    "energy": _metric_column("GPU J per 1,000 images", "efficiency/gpu_joules_per_1000_images", ".3g"),
    "training": _metric_column("training s", "efficiency/training_seconds", ".0f"),
    "training_energy": _metric_column("training kJ", "efficiency/training_joules", ".3g", 1e3),
    "published": BoardColumn("published", lambda row: format_metric(_find_published(row)), _find_published),
    "reproduced": BoardColumn(
        "reproduced",
        _format_reproduced,
        lambda row: _REPRODUCED.index(place) if (place := published.compare_published(row)) else None,
        is_number=False,
        lower_first=True,
    ),
}
"""The columns by the names that `--columns` and `--sort` take."""

DEFAULT_COLUMNS = (
    *("rank", "model", "value", "interval", "sd", "seeds", "top5", "f1", "ece"),
    *("parameters", "p50", "training", "published", "reproduced"),
)
COLUMN_SETS = {
    "default": DEFAULT_COLUMNS,
    "costs": ("rank", "model", "value", "parameters", "size", "p50", "p99", "gpu", "memory", "energy", "training"),
    "transfer-table": (
        *(
            "model",
            "phase",
            "val_loss",
            "val_top1",
            "val_top5",
            "parameters",
            "size",
            "p50",
            "gpu",
            "top1",
            "f1",
            "auc",
        ),
    ),
}
"""Columns by the names of sets, which `--columns` takes as well."""


def parse_columns(text: str) -> tuple[str, ...]:
    """Return the names of the columns that are listed with commas, each of them once.

    Args:
        text: Names of `COLUMNS` and of `COLUMN_SETS`.

    Raises:
        ConfigError: There is no such column.
    """
    names: list[str] = []
    for name in (word.strip() for word in text.split(",")):
        if name not in COLUMNS and name not in COLUMN_SETS:
            raise ConfigError(
                f"Invalid value for `--columns`: expected some of {', '.join(COLUMNS)}, "
                f"or one of the sets {', '.join(COLUMN_SETS)}, got {name!r}." + suggest(name, [*COLUMNS, *COLUMN_SETS])
            )
        names += COLUMN_SETS.get(name, (name,))
    return tuple(dict.fromkeys(names))


def check_sort(sort: str) -> None:
    """Check that there is a column to sort by.

    Args:
        sort: A name of `COLUMNS`, with `-` before it for the reverse order.

    Raises:
        ConfigError: There is no such column.
    """
    name = sort.removeprefix(_REVERSED)
    if name not in COLUMNS:
        raise ConfigError(
            f"Invalid value for `sort`: expected one of {', '.join(COLUMNS)}, with - before it for the reverse order, "
            f"got {sort!r}.{suggest(name, COLUMNS)}"
        )


def sort_board(board: DatasetBoard, sort: str) -> DatasetBoard:
    """Return a board whose rows are sorted by a column, the best first; rows without a value are the last.

    Ranks and conclusions stay as they are.

    Args:
        board: The board.
        sort: A name of `COLUMNS`, with `-` before it for the reverse order.
    """
    column = COLUMNS[sort.removeprefix(_REVERSED)]
    lower_first = METRICS[board.metric].lower_is_better if column.lower_first is None else column.lower_first
    values = {row.name: _sort_value(column, row) for row in board.rows}
    present = [row for row in board.rows if values[row.name] is not None]
    absent = [row for row in board.rows if values[row.name] is None]
    present.sort(key=lambda row: values[row.name], reverse=lower_first == sort.startswith(_REVERSED))
    return replace(board, rows=(*present, *absent))


def _sort_value(column: BoardColumn, row: BoardRow) -> Any:
    value = column.sort_value(row)
    return value if not isinstance(value, float) or is_defined(value) else None


def choose_columns(board: DatasetBoard, names: Sequence[str], *, with_published: bool = False) -> list[BoardColumn]:
    """Return the columns of some names without those that no row has a value for or that repeat the board's metric.

    Args:
        board: The board.
        names: Names of `COLUMNS`.
        with_published: Whether published metrics are written in brackets behind ours.
    """
    repeated = f"test/{board.metric}" if "value" in names else None
    columns = [COLUMNS[name] for name in names if COLUMNS[name].metric != repeated]
    columns = [column if column.title else replace(column, title=METRICS[board.metric].title) for column in columns]
    columns = [
        column
        for column in columns
        if any(column.read(row) for row in board.rows) or any(column.read_failed(cell) for cell in board.failed)
    ]
    return [*map(add_published, columns)] if with_published else columns


def add_published(column: BoardColumn) -> BoardColumn:
    """Return a column that has the published metric in brackets behind ours, where there is one."""

    def read(row: BoardRow) -> str:
        figure = published.find_published(row, column.metric)
        return column.read(row) + (f" ({format_metric(figure, '.4g')})" if figure is not None else "")

    return replace(column, read=read) if column.metric else column
