"""What can be refused before a run is opened for it: what no data and no weights are needed to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench import data, models
from tinybench.data import augment
from tinybench.tracking import tensorboard_events
from tinybench.training import callbacks, phases

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import DatasetCard


def before_a_run(config: RunConfig) -> None:
    """Refuse a run that could only fail.

    Raises:
        TinybenchError: an unknown model or data set, settings that do not fit them, or an extra that is missing.
    """
    models.check(config)
    _fits(config, data.card(config.dataset))
    extras(config)


def extras(config: RunConfig) -> None:
    """What the user brings, and what must be installed.

    Raises:
        ConfigError: it is not there.
    """
    callbacks.user_callbacks(config.callbacks)
    if config.track.tensorboard:
        tensorboard_events.require_tensorboard()


def _fits(config: RunConfig, card: DatasetCard) -> None:
    """What is known of data that may not be here yet; the rest is seen when they are."""
    if card.shape:
        augment.check(config.augment, card.shape)
    wanted = config.data.classes
    if wanted is not None:
        phases.class_weights(config.loss, wanted if isinstance(wanted, int) else len(wanted), None)
