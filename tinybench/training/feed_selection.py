"""What a phase is fed with, and why: kept features where there is a frozen part, else pixels.

The choice is made once for a phase and written beside its checkpoints, so that a resumed phase is fed
with the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
from rich import filesize

from tinybench.config.run_config import RunConfig
from tinybench.config.sections import PhaseConfig, TransferConfig
from tinybench.core.errors import FeatureError, TrainingError
from tinybench.data import augment
from tinybench.data.dataset import Dataset
from tinybench.features import bank, engine_selection, feed, phase_banks
from tinybench.features import engines as engine_table
from tinybench.features.cut import Cut
from tinybench.features.engine_selection import Engine
from tinybench.features.feed_decision import Decision
from tinybench.features.phase_banks import Banks
from tinybench.training import phases

_SAMPLE = 64
_LARGE = 10**9  # bytes whose checksums take a while


class Watcher(Protocol):
    """Who is told what goes on."""

    def on_message(self, text: str) -> None:
        """Say what is about to be done."""

    def on_features_begin(self, images: int) -> None:
        """Show a bar over so many images."""

    def on_features_step(self, images: int) -> None:
        """So many more are done."""

    def on_features_end(self) -> None:
        """Take the bar away."""


@dataclass(frozen=True)
class Supply:
    """A feed, the cut that the training model begins at (None: at pixels), and how it came to be."""

    feed: feed.Feed
    cut: Cut | None
    decision: Decision


def against_bank(config: RunConfig, phase: str) -> str:
    """Why a configuration rules kept features out; empty when it does not."""
    mixing = [name for name in ("mixup", "cutmix") if getattr(config.augment, name)]
    if mixing:
        return f"augment.{mixing[0]} mixes the images of a batch"
    settings = getattr(config, phase)
    return f"{phase}.views is live" if isinstance(settings, TransferConfig) and settings.views == "live" else ""


@contextmanager
def arranged(
    model: keras.Model,
    config: RunConfig,
    phase: str,
    dataset: Dataset,
    folder: Path,
    *,
    trained: bool,
    watcher: Watcher,
) -> Iterator[Supply]:
    """Decide what a phase is fed with, compute the features that are missing, and keep them while they are used.

    Args:
        model: The whole model with the weights that the phase starts from.
        config: The run's configuration.
        phase: `scratch`, `transfer` or `finetune`.
        dataset: The images.
        folder: Where the phase's checkpoints are, and the decision of a phase that is resumed.
        trained: The head has been trained, so that engines can be judged by its labels.
        watcher: Who is told.

    Raises:
        EngineError: the engine that the configuration wants cannot be used.
    """
    with ExitStack() as leases:
        supply = _Arrangement(model, config, phase, dataset, trained, watcher, leases).supply(Decision.read(folder))
        supply.decision.write(folder)
        yield supply


@dataclass(frozen=True)
class _Arrangement:
    model: keras.Model
    config: RunConfig
    phase: str
    dataset: Dataset
    trained: bool
    watcher: Watcher
    leases: ExitStack

    def supply(self, earlier: Decision | None) -> Supply:
        """As it was decided earlier, else the best there is: kept features, a fast engine, pixels."""
        if self._cut is None or (earlier and earlier.mode == "live"):
            reason = "everything is trained"
            if self.phase != "scratch":
                reason = "nothing is frozen below the first layer that is trained"
            return self._live(earlier.reason, augmented=earlier.augmented) if earlier else self._live(reason)
        if earlier:
            return self._again(self._cut, earlier)
        reason = against_bank(self.config, self.phase)
        if not reason:
            try:
                return self._banked(self._cut)
            except (FeatureError, OSError) as refusal:
                reason = str(refusal) if isinstance(refusal, FeatureError) else _unwritable(refusal)
                self.leases.close()
        return self._unbanked(self._cut, reason)

    @cached_property
    def _cut(self) -> Cut | None:
        return phases.divide(self.model, self.config, self.phase)

    def _live(self, reason: str, *, augmented: bool = True) -> Supply:
        decision = Decision("live", reason, augmented=augmented and augment.changes(self.config.augment))
        self.watcher.on_message(f"{self.phase}: {decision.words}.")
        return Supply(feed.Pixels(self.dataset, self.config.seed), None, decision)

    @property
    def _augmented(self) -> bool:
        """Whether images are augmented where features cannot be kept: as if they were, views or not."""
        settings: TransferConfig = getattr(self.config, self.phase)
        return settings.views != 0 and augment.changes(self.config.augment)

    def _unbanked(self, cut: Cut, reason: str) -> Supply:
        """Features made as they are needed where an engine is faster than Keras, else pixels."""
        if reason.startswith("augment."):  # what is mixed are pixels, in the training graph
            return self._live(reason)
        if self.config.engine == "keras":  # nothing to choose from
            return self._live(reason, augmented=self._augmented)
        settings: PhaseConfig = getattr(self.config, self.phase)
        images = len(self.dataset.train) + len(self.dataset.validation)
        choice = self._choice(cut, settings.epochs * images, self.config.precision)
        if choice.engine.name == "keras":
            return self._live(reason, augmented=self._augmented)
        decision = Decision("engine", reason, cut.layer, choice.engine.name, choice.engine.precision, self._augmented)
        decision.trials = choice.as_json()
        return self._streamed(cut, decision, choice.engine)

    def _streamed(self, cut: Cut, decision: Decision, engine: Engine) -> Supply:
        self.watcher.on_message(f"{self.phase}: {decision.words}.")
        return Supply(feed.Extracted(self.dataset, self.config, engine, augmented=decision.augmented), cut, decision)

    def _again(self, cut: Cut, earlier: Decision) -> Supply:
        """As it was decided; what has gone from the bank since is computed in the same engine."""
        if earlier.mode == "engine":
            return self._streamed(cut, earlier, engine_table.make(cut.extractor, earlier.engine, earlier.computing))
        kept = self._banks(cut, earlier.computing, earlier.dtype)
        kept.hold(self.leases)
        try:
            if kept.missing:
                self._fill(kept, engine_table.make(cut.extractor, earlier.engine, earlier.computing), earlier, speed=0)
        except OSError as error:  # pixels instead would be another training
            raise TrainingError(f"{_unwritable(error).capitalize()}. Make room, then resume the run.") from error
        return self._ready(cut, kept, earlier)

    def _banked(self, cut: Cut) -> Supply:
        """Features from banks, filled first where they are not complete; in float32 where they are too large.

        Raises:
            FeatureError: the budget or the disk has no room for them.
            OSError: they cannot be written.
        """
        only_float32 = self.config.precision == "float32" or self.config.engine == "keras"
        precisions = ["float32"] if only_float32 else ["bfloat16", "float32"]
        dtypes = ["float32"] if self.config.precision == "float32" else ["float16", "float32"]
        known = {dtype: [self._banks(cut, computing, dtype) for computing in precisions] for dtype in dtypes}
        for kept in itertools.chain(*known.values()):
            kept.hold(self.leases)
            if kept.on_disk > _LARGE:
                self.watcher.on_message(f"Checking {filesize.decimal(kept.on_disk)} of kept features.")
            if not kept.missing:
                decision = Decision("bank", layer=cut.layer, engine=kept.made_by)
                made_by = f"{decision.engine} {kept.computing}"
                self.watcher.on_message(
                    f"{self.phase}: {kept.words} are kept already, by {made_by}.{self._unused()}"
                )
                return self._ready(cut, kept, decision)
        try:
            return self._filled(cut, known[dtypes[0]])
        except OverflowError as error:
            self.watcher.on_message(f"{error}: features are kept in float32.")
            self.leases.close()
            for kept in known["float16"]:
                kept.discard()
            for kept in known["float32"]:
                kept.hold(self.leases)
            return self._filled(cut, known["float32"])

    def _filled(self, cut: Cut, known: list[Banks]) -> Supply:
        """The banks in the precision of the fastest engine, filled; those that were begun are gone on with."""
        known = [each for each in known if each.computing == "float32" or engine_table.lowers()]
        begun = min(known, key=lambda each: each.missing)
        begun.make_room()
        decision = Decision("bank", layer=cut.layer)
        goes_on = bool(begun.on_disk) and self.config.engine == "auto"
        if goes_on and begun.computing != "float32":
            self._fill(begun, engine_table.make(cut.extractor, begun.made_by, begun.computing), decision)
            return self._ready(cut, begun, decision)
        choice = self._choice(cut, begun.missing, "float32" if goes_on else self.config.precision)
        decision.trials = choice.as_json()
        kept = next(each for each in known if each.computing == choice.engine.precision)
        self._fill(kept, choice.engine, decision, choice.taken.images_per_second)
        return self._ready(cut, kept, decision)

    def _ready(self, cut: Cut, kept: Banks, decision: Decision) -> Supply:
        decision.computing, decision.dtype, decision.bytes = kept.computing, kept.dtype, kept.bytes
        return Supply(kept.feed(), cut, decision)

    def _fill(self, kept: Banks, engine: Engine, decision: Decision, speed: float = 0.0) -> None:
        missing = kept.missing
        pace = f", about {_duration(missing / speed)} ({speed:,.0f} images/s)" if speed else ""
        self.watcher.on_message(
            f"{self.phase}: computing {kept.words} in {engine.name} {engine.precision}{pace}.{self._unused()}"
        )
        self.watcher.on_features_begin(missing)

        def step(images: int) -> None:
            decision.images += images
            self.watcher.on_features_step(images)

        try:
            decision.seconds += kept.fill(engine, engine.name, step, self._wait)
        finally:
            self.watcher.on_features_end()
        decision.engine = kept.made_by  # another process may have been faster

    def _unused(self) -> str:
        """Said where the configuration augments and the features do not."""
        plain = augment.changes(self.config.augment) and not phase_banks.views(self.config, self.phase)
        return f" They are not augmented: {self.phase}.views is 0." if plain else ""

    def _wait(self) -> None:
        self.watcher.on_message("Another process is computing these features: waiting for it.")

    def _banks(self, cut: Cut, computing: str, dtype: str) -> Banks:
        return Banks(
            self.dataset,
            self.config,
            cut,
            phase_banks.views(self.config, self.phase),
            weights=self._weights,
            computing=computing,
            dtype=dtype,
        )

    @cached_property
    def _weights(self) -> str:
        assert self._cut is not None
        return bank.of_extractor(self._cut.extractor)

    def _choice(self, cut: Cut, work: int, precision: str) -> engine_selection.Choice:
        trainer = phases.prepare(self.model, self.config, self.phase, cut)[1] if self.trained else None
        head = None if trainer is None else lambda values: np.asarray(trainer(values, training=False))
        # Drawn, since many sources are sorted by class
        count = len(self.dataset.train)
        drawn = np.random.default_rng(0).choice(count, min(_SAMPLE, count), replace=False)
        sample = self.dataset.train.images(drawn).astype(np.float32)
        return engine_selection.choose(
            cut.extractor, sample, work, engine=self.config.engine, precision=precision, head=head
        )


def _unwritable(error: OSError) -> str:
    return f"features cannot be kept ({error.strerror or error})"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
