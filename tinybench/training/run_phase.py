"""Train one phase: select its feed and precision, train to the last epoch, restore the best weights."""

from __future__ import annotations

import keras

from tinybench.core import waiting
from tinybench.training import loop, phases, precision
from tinybench.training.feed_selection import select_feed
from tinybench.training.phase_context import PhaseContext, PhaseOutcome
from tinybench.training.run_callbacks import RunCallbacks


def run_phase(context: PhaseContext, model: keras.Model, callbacks: RunCallbacks) -> PhaseOutcome:
    """Train a phase, from its latest checkpoint if there is one.

    Args:
        context: What the phase needs.
        model: The whole model with the weights that the phase starts from; it is trained in place.
        callbacks: Receives the events of the phase.

    Returns:
        The model with the weights of the best epoch by the validation images, and how it was trained.

    Raises:
        TinybenchError: The configuration does not fit the model, the loss is not a number, or a disk is full.
    """
    with select_feed(context, model, callbacks) as selection:
        trainer = phases.build_trainer(
            model,
            context.config,
            context.phase,
            selection.cut,
            augmented=selection.decision.augmented,
            train=context.dataset.train,
        )
        with waiting.tell_if_slow(f"{context.phase}: compiling the training step, and choosing its precision"):
            choice = precision.choose_precision(trainer, selection.feed, context)
        callbacks.on_phase_begin(context, selection.decision, choice)
        with precision.compute_in(trainer, choice.precision):
            progress = loop.fit(trainer, selection.feed, context, callbacks)
        callbacks.on_train_end(progress)
    return PhaseOutcome(model, trainer, progress, selection.decision, choice)
