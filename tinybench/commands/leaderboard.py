"""Rank the models of a store."""

from __future__ import annotations

from collections.abc import Collection

from tinybench.core.errors import TrackingError
from tinybench.core.redaction import redact
from tinybench.data.load_request import is_named
from tinybench.leaderboard.board import MARGIN, DatasetBoard, build_boards
from tinybench.leaderboard.entries import Entry
from tinybench.tracking.tracker import Tracker


def list_boards(
    uri: str | None = None,
    *,
    dataset: str | None = None,
    models: Collection[str] = (),
    recipe: str | None = None,
    phase: str = "last",
    metric: str = "accuracy",
    margin: float = MARGIN,
) -> list[DatasetBoard]:
    """Return the boards of a store, one for each set of test images.

    Args:
        uri: The tracking store; MLflow's default if None.
        dataset: Only this data set, by its name or its short name.
        models: Only these models, by their names or the paths of their files.
        recipe: Only runs of this recipe.
        phase: Which phase of each run is ranked: `last`, `all`, or the name of one.
        metric: One of `scores.METRICS`.
        margin: The largest difference that does not matter.

    Raises:
        TrackingError: The store does not answer, or has no finished run that fits.
    """
    tracker = Tracker.at(uri)
    tracker.send_left_behind()

    def is_wanted(entry: Entry) -> bool:
        return (
            (entry.is_last if phase == "last" else phase in ("all", entry.phase))
            and (dataset is None or is_named(entry.dataset, dataset))
            and (not models or entry.model in models or entry.settings.get("model") in models)
            and recipe in (None, entry.recipe)
        )

    boards = build_boards(tracker, metric=metric, margin=margin, keep=is_wanted)
    if not boards:
        raise TrackingError(
            f"{redact(tracker.uri)} has no finished run that fits: train one by tinybench train, or leave out a filter."
        )
    return boards
