"""Run one cell in a process of its own, as the driver of the benchmark describes it in a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from tinybench.config import run_config as configuration
from tinybench.core.errors import ConfigError


@dataclass(frozen=True)
class CellTask:
    """Task of the process of a cell.

    Attributes:
        settings: All settings of the cell by dotted key; the address of the store is in the environment.
        parent: Id or key of the run of the benchmark.
        run_tags: Tags of the run from its first moment.
        resume: The run that is resumed; empty for a new one.
        is_probe: Whether the backbone is probed; otherwise a run is trained.
    """

    settings: Mapping[str, Any]
    parent: str
    run_tags: Mapping[str, str] = field(default_factory=dict)
    resume: str = ""
    is_probe: bool = False

    def to_line(self) -> str:
        """Return the task as a line of JSON."""
        return json.dumps(asdict(self), default=list)

    @classmethod
    def from_line(cls, line: str) -> CellTask:
        """Return the task that a line of JSON describes.

        Raises:
            ConfigError: It describes none.
        """
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ConfigError(
                "Standard input describes no cell: `tinybench benchmark` starts this command by itself."
            ) from error

    @property
    def config(self) -> configuration.RunConfig:
        """The configuration of the cell."""
        return configuration.from_flat(self.settings)


def run_task(task: CellTask) -> None:
    """Train the cell, or resume its run, or probe its backbone.

    Raises:
        TinybenchError: The cell fails; the message says why.
    """
    from tinybench.job.backbone_probe import probe_backbones
    from tinybench.job.train import resume_run, train_run
    from tinybench.tracking.tracker import Tracker

    if task.resume:
        resume_run(task.resume)
        return
    config = task.config
    with closing(Tracker(config.track, may_be_away=True, opens_runs=False)) as tracker:
        parent = tracker.writer.amend_run(task.parent)
        if task.is_probe:
            probe_backbones([config], parent=parent, run_tags=task.run_tags)
        else:
            train_run(config, parent=parent, run_tags=task.run_tags)
