"""A phase made ready to be trained: what it is fed with, its training model, and what that computes in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras

from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset
from tinybench.features.feed import Feed
from tinybench.features.feed_decision import Decision
from tinybench.training import feed_selection, phases, precision
from tinybench.training.feed_selection import Watcher
from tinybench.training.precision import Choice


@dataclass(frozen=True)
class Ready:
    """A phase that can begin.

    Attributes:
        model: The whole model, with what the phase trains made trainable.
        trainer: What is fitted; it shares the model's layers.
        feed: What the trainer takes.
        decision: How the feed came to be.
        computed: The precision, with its reason.
    """

    model: keras.Model
    trainer: keras.Model
    feed: Feed
    decision: Decision
    computed: Choice


@contextmanager
def ready(
    model: keras.Model,
    config: RunConfig,
    phase: str,
    dataset: Dataset,
    folder: Path,
    *,
    trained: bool,
    watcher: Watcher,
) -> Iterator[Ready]:
    """Make a phase ready; what it is fed with is kept from being removed meanwhile.

    Args:
        model: With the weights that the phase starts from.
        config: The run's configuration.
        phase: `scratch`, `transfer` or `finetune`.
        dataset: The images.
        folder: Of the phase's checkpoints.
        trained: The head has been trained.
        watcher: Is told about features that are computed.
    """
    with feed_selection.arranged(model, config, phase, dataset, folder, trained=trained, watcher=watcher) as given:
        model, trainer = phases.prepare(
            model, config, phase, given.cut, augmented=given.decision.augmented, train=dataset.train
        )
        computed = precision.settled(trainer, given.feed, config, phase, folder)
        yield Ready(model, trainer, given.feed, given.decision, computed)
