"""The functions that a notebook calls; the command line calls the same."""

from __future__ import annotations

from typing import Any

from tinybench.cli.console import Console
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve
from tinybench.tracking.results import Result


def train(recipe: str | None = None, *, console: Console | None = None, **settings: Any) -> Result:
    """Train a model in the phases of a recipe, and track everything.

    Args:
        recipe: A recipe's name; `tiny-imagenet-tlft` when None.
        console: Where progress is shown; nowhere when None.
        **settings: Values by key. A key with a dot is given as `**{"head.dropout": 0.2}` or with an
            underscore, `head_dropout=0.2`.

    Returns:
        The runs, their figures and the logged model.

    Raises:
        TinybenchError: what the user can mend, in one line.
    """
    from tinybench.hardware import onednn

    config = resolve(recipe, settings)
    onednn.allow(config.deterministic)
    from tinybench.job import train as job

    return job.train_run(config, callbacks=console)


def finetune(run_id: str, *, uri: str | None = None, console: Console | None = None, **settings: Any) -> Result:
    """Fine-tune from the best weights of an earlier run, as a new run linked to it.

    Args:
        run_id: The earlier run, or its transfer phase.
        uri: The store that holds it; MLflow's default when None.
        console: Where progress is shown.
        **settings: Values that differ from those of the earlier run.
    """
    from tinybench.job import train as job
    from tinybench.tracking import run_record
    from tinybench.tracking.tracker import Tracker

    tracker = Tracker.at(uri)
    if run_record.read_config(tracker, tracker.find_top_run(run_id)).data.folds:
        raise ConfigError(
            f"Run {run_id} has folds, which cannot be fine-tuned afterwards: train with phases=transfer,finetune."
        )
    settled = ("recipe", "model", "weights", "image_size", "phases", "data.folds", "backbone.", "network.", "head.")
    config = run_record.derive_config(tracker, tracker.find_top_run(run_id), settings, settled, phases=("finetune",), callbacks=())
    return job.train_run(config, start_from=run_id, callbacks=console)


def resume(run_id: str, *, uri: str | None = None, console: Console | None = None) -> Result:
    """Go on with an interrupted run from its last finished epoch, in the same runs."""
    from tinybench.job import train as job

    return job.resume_run(run_id, uri, callbacks=console)


def evaluate(run_id: str, *, split: str = "test", uri: str | None = None, **settings: Any) -> dict[str, float]:
    """Score a run's model again, as a run linked to its source.

    Args:
        run_id: A finished run.
        split: `train`, `validation` or `test`.
        uri: The store that holds it; MLflow's default when None.
        **settings: Values that differ from those of the run, such as `data_root`.

    Returns:
        Figures by name, such as `test/accuracy`.
    """
    from tinybench.commands import evaluate as rescore

    return rescore.run(run_id, split, uri, settings)
