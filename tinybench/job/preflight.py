"""Check a configuration before a run is opened, as far as neither data nor weights are needed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench import data, models
from tinybench.data import augment
from tinybench.tracking import tensorboard_events
from tinybench.training import callbacks, phases

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig


def check_run(config: RunConfig) -> None:
    """Raise an error for a configuration with which a run could only fail.

    What depends on data that are not downloaded yet is checked when they are loaded.

    Raises:
        TinybenchError: The model or data set is unknown, settings do not fit them, or an extra is not installed.
    """
    models.check(config)
    card = data.card(config.dataset)
    if card.shape:
        augment.check(config.augment, card.shape)
    classes = config.data.classes
    if classes is not None:
        phases.class_weights(config.loss, classes if isinstance(classes, int) else len(classes), None)
    check_extras(config)


def check_extras(config: RunConfig) -> None:
    """Raise ConfigError unless the user's own callbacks can be loaded and the needed extras are installed."""
    callbacks.user_callbacks(config.callbacks)
    if config.track.tensorboard:
        tensorboard_events.require_tensorboard()
