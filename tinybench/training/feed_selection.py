"""Select what a phase is fed with: stored features if it has a frozen part, else pixels.

The decision is made once per phase and written beside its checkpoints, so that a resumed phase is fed
in the same way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
from rich import filesize

from tinybench.config.run_config import RunConfig
from tinybench.config.sections import TransferConfig
from tinybench.core import waiting
from tinybench.core.errors import FeatureError, TrainingError
from tinybench.data import augment
from tinybench.data.dataset import sample_rows
from tinybench.features import bank, engine_selection, engines, phase_banks
from tinybench.features.cut import Cut
from tinybench.features.engines import Engine
from tinybench.features.feed import EngineFeed, Feed, PixelFeed
from tinybench.features.feed_decision import FeedDecision
from tinybench.features.phase_banks import PhaseBanks
from tinybench.training import phases
from tinybench.training.phase_context import PhaseContext
from tinybench.training.run_callbacks import CallbackChain, RunCallbacks

_SAMPLE = 64  # images to compare engines on
_LARGE = 10**9  # bytes of features whose checksums take a while


@dataclass(frozen=True)
class FeedSelection:
    """The selected feed of a phase.

    Attributes:
        feed: What the trainer takes.
        cut: Where the trainer begins; None if it takes pixels.
        decision: How the feed was selected.
        banks: The stored features, if the feed is made of them.
        engine: The engine that computed features just now; None if nothing had to run.
    """

    feed: Feed
    cut: Cut | None
    decision: FeedDecision
    banks: PhaseBanks | None = None
    engine: Engine | None = None


def reason_against_bank(config: RunConfig, phase: str) -> str:
    """Return which setting rules stored features out; empty if none does."""
    mixing = [name for name in ("mixup", "cutmix") if getattr(config.augment, name)]
    if mixing:
        return f"augment.{mixing[0]} mixes the images of a batch"
    settings = config.phase_settings(phase)
    return f"{phase}.views is live" if isinstance(settings, TransferConfig) and settings.views == "live" else ""


@contextmanager
def select_feed(context: PhaseContext, model: keras.Model, callbacks: RunCallbacks) -> Iterator[FeedSelection]:
    """Select how a phase is fed and compute missing features; inside the block nobody removes them from the cache.

    Args:
        context: The phase; a decision in its checkpoint folder is followed, a new one is written there.
        model: The whole model with the weights that the phase starts from.
        callbacks: Receives the plan and the progress of computing features.

    Raises:
        EngineError: The engine that the configuration asks for cannot be used.
        TrainingError: Features that a resumed phase needs cannot be written.
    """
    folder = context.checkpoints.folder
    with ExitStack() as leases:
        selection = _FeedSelector(context, model, callbacks, leases).select(FeedDecision.read(folder))
        selection.decision.write(folder)
        yield selection


@dataclass(frozen=True)
class _FeedSelector:
    context: PhaseContext
    model: keras.Model
    callbacks: RunCallbacks
    leases: ExitStack

    def select(self, earlier: FeedDecision | None) -> FeedSelection:
        """Follow an earlier decision, else take the best there is: stored features, a fast engine, pixels."""
        if self._cut is None or (earlier and earlier.mode == "live"):
            reason = "everything is trained"
            if self.context.phase != "scratch":
                reason = "nothing is frozen below the first layer that is trained"
            return (
                self._feed_pixels(earlier.reason, augmented=earlier.augmented) if earlier else self._feed_pixels(reason)
            )
        if earlier:
            return self._follow(self._cut, earlier)
        reason = reason_against_bank(self._config, self.context.phase)
        if not reason:
            try:
                return self._feed_from_bank(self._cut)
            except (FeatureError, OSError) as refusal:
                reason = str(refusal) if isinstance(refusal, FeatureError) else _cannot_keep(refusal)
                self.leases.close()
        return self._feed_without_bank(self._cut, reason)

    @property
    def _config(self) -> RunConfig:
        return self.context.config

    @cached_property
    def _cut(self) -> Cut | None:
        return phases.find_phase_cut(self.model, self._config, self.context.phase)

    def _say(self, text: str) -> None:
        self.callbacks.on_message(f"{self.context.phase}: {text}")

    def _feed_pixels(self, reason: str, *, augmented: bool = True) -> FeedSelection:
        decision = FeedDecision("live", reason, augmented=augmented and augment.changes_images(self._config.augment))
        self._say(f"{decision.description}.")
        return FeedSelection(PixelFeed(self.context.dataset, self._config.seed), None, decision)

    def _feed_without_bank(self, cut: Cut, reason: str) -> FeedSelection:
        """Compute features in every epoch if an engine is faster than Keras, else feed pixels."""
        if reason.startswith("augment."):  # pixels are mixed in the training graph
            return self._feed_pixels(reason)
        settings = self.context.settings
        # Images are augmented as if features could be kept: views = 0 means plain images
        augmented = (
            isinstance(settings, TransferConfig)
            and settings.views != 0
            and augment.changes_images(self._config.augment)
        )
        if self._config.engine == "keras":  # nothing to choose from
            return self._feed_pixels(reason, augmented=augmented)
        dataset = self.context.dataset
        images = len(dataset.train) + len(dataset.validation)
        choice = self._choose_engine(cut, settings.epochs * images, self._config.precision)
        if choice.engine.name == "keras":
            return self._feed_pixels(reason, augmented=augmented)
        decision = FeedDecision("engine", reason, cut.layer, choice.engine.name, choice.engine.precision, augmented)
        decision.trials = choice.as_json()
        return self._feed_from_engine(cut, decision, choice.engine)

    def _feed_from_engine(self, cut: Cut, decision: FeedDecision, engine: Engine) -> FeedSelection:
        self._say(f"{decision.description}.")
        feed = EngineFeed(self.context.dataset, self._config, engine, augmented=decision.augmented)
        return FeedSelection(feed, cut, decision)

    def _follow(self, cut: Cut, earlier: FeedDecision) -> FeedSelection:
        """Feed a resumed phase as before; features that were removed since are computed again in the same engine."""
        if earlier.mode == "engine":
            engine = engines.build_engine(cut.extractor, earlier.engine, earlier.computing)
            return self._feed_from_engine(cut, earlier, engine)
        banks = self._banks(cut, earlier.computing, earlier.dtype)
        banks.lease(self.leases)
        try:
            if banks.missing:
                engine = engines.build_engine(cut.extractor, earlier.engine, earlier.computing)
                self._fill(banks, engine, earlier)
        except OSError as error:  # pixels instead would be another training
            raise TrainingError(f"{_cannot_keep(error).capitalize()}. Make room, then resume the run.") from error
        return self._selection(cut, banks, earlier)

    def _feed_from_bank(self, cut: Cut) -> FeedSelection:
        """Feed stored features; compute missing ones first, in float32 if they are too large for float16.

        Raises:
            FeatureError: The budget or the disk has no room for them.
            OSError: They cannot be written.
        """
        only_float32 = self._config.precision == "float32" or self._config.engine == "keras"
        precisions = ["float32"] if only_float32 else ["bfloat16", "float32"]
        dtypes = ["float32"] if self._config.precision == "float32" else ["float16", "float32"]
        by_dtype = {dtype: [self._banks(cut, computing, dtype) for computing in precisions] for dtype in dtypes}
        for banks in itertools.chain(*by_dtype.values()):
            banks.lease(self.leases)
            if banks.stored_bytes > _LARGE:
                self.callbacks.on_message(f"Checking {filesize.decimal(banks.stored_bytes)} of stored features.")
            if not banks.missing:
                decision = FeedDecision("bank", layer=cut.layer, engine=banks.engine_name)
                engine = f"{decision.engine} {banks.computing}"
                self._say(f"{banks.description} are stored already, by {engine}.{self._note_unaugmented()}")
                return self._selection(cut, banks, decision)
        try:
            return self._fill_and_feed(cut, by_dtype[dtypes[0]])
        except OverflowError as error:
            self.callbacks.on_message(f"{error}: features are stored in float32.")
            self.leases.close()
            for banks in by_dtype["float16"]:
                banks.discard()
            for banks in by_dtype["float32"]:
                banks.lease(self.leases)
            return self._fill_and_feed(cut, by_dtype["float32"])

    def _fill_and_feed(self, cut: Cut, candidates: list[PhaseBanks]) -> FeedSelection:
        """Fill the banks in the precision of the fastest engine; continue with banks that are partly filled."""
        candidates = [banks for banks in candidates if banks.computing == "float32" or engines.device_has_bfloat16()]
        fullest = min(candidates, key=lambda banks: banks.missing)
        fullest.make_room()
        decision = FeedDecision("bank", layer=cut.layer)
        continues = bool(fullest.stored_bytes) and self._config.engine == "auto"
        if continues and fullest.computing != "float32":
            engine = engines.build_engine(cut.extractor, fullest.engine_name, fullest.computing)
            self._fill(fullest, engine, decision)
            return self._selection(cut, fullest, decision, engine)
        choice = self._choose_engine(cut, fullest.missing, "float32" if continues else self._config.precision)
        decision.trials = choice.as_json()
        banks = next(banks for banks in candidates if banks.computing == choice.engine.precision)
        self._fill(banks, choice.engine, decision, choice.chosen_measurement.images_per_second)
        return self._selection(cut, banks, decision, choice.engine)

    def _selection(
        self, cut: Cut, banks: PhaseBanks, decision: FeedDecision, engine: Engine | None = None
    ) -> FeedSelection:
        decision.computing, decision.dtype, decision.bytes = banks.computing, banks.dtype, banks.bytes
        return FeedSelection(banks.feed(), cut, decision, banks, engine)

    def _fill(self, banks: PhaseBanks, engine: Engine, decision: FeedDecision, images_per_second: float = 0.0) -> None:
        missing = banks.missing
        pace = ""
        if images_per_second:
            seconds = missing / images_per_second
            duration = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
            pace = f", about {duration} ({images_per_second:,.0f} images/s)"
        self._say(f"computing {banks.description} in {engine.name} {engine.precision}{pace}.{self._note_unaugmented()}")
        self.callbacks.on_features_begin(missing)
        try:
            decision.seconds += banks.fill(engine, engine.name, CallbackChain(self.callbacks, _ImageCounter(decision)))
        finally:
            self.callbacks.on_features_end()
        decision.engine = banks.engine_name  # another process may have computed them

    def _note_unaugmented(self) -> str:
        """Return a sentence if the configuration augments and the features do not."""
        unaugmented = augment.changes_images(self._config.augment) and not self._view_count()
        return f" They are not augmented: {self.context.phase}.views is 0." if unaugmented else ""

    def _view_count(self) -> int:
        return phase_banks.view_count(self._config, self.context.settings)

    def _banks(self, cut: Cut, computing: str, dtype: str) -> PhaseBanks:
        return PhaseBanks(
            self.context.dataset,
            self._config,
            cut,
            self._view_count(),
            weights=self._weights,
            computing=computing,
            dtype=dtype,
        )

    @cached_property
    def _weights(self) -> str:
        assert self._cut is not None
        return bank.hash_extractor(self._cut.extractor)

    def _choose_engine(self, cut: Cut, work: int, precision: str) -> engine_selection.EngineChoice:
        config, train = self._config, self.context.dataset.train
        head = None
        if self.context.pretrained:
            trainer = phases.build_trainer(self.model, config, self.context.phase, cut)
            head = lambda features: np.asarray(trainer(features, training=False))  # noqa: E731
        sample = train.images(sample_rows(len(train), _SAMPLE)).astype(np.float32)
        with waiting.tell_if_slow("compiling the frozen part, and choosing its engine"):
            return engine_selection.choose_engine(
                cut.extractor, sample, work, engine=config.engine, precision=precision, head=head
            )


class _ImageCounter(RunCallbacks):
    """Counts the features that a phase computes."""

    def __init__(self, decision: FeedDecision) -> None:
        self.decision = decision

    def on_features_step(self, images: int) -> None:
        """Add to the images of the decision."""
        self.decision.images += images


def _cannot_keep(error: OSError) -> str:
    return f"features cannot be stored ({error.strerror or error})"
