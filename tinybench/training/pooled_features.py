"""The pooled features of all images of a data set, in the feature bank that the transfer phase uses.

What a probe computes is there for a later transfer phase, and what a transfer phase computed is there for a probe.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.config.run_config import RunConfig
from tinybench.config.sections import AugmentConfig
from tinybench.core import cache
from tinybench.core.errors import ModelError
from tinybench.data.dataset import Dataset, Split
from tinybench.features import bank, engines
from tinybench.features.bank import Extract, FeatureBank
from tinybench.features.cut import Cut
from tinybench.features.engines import Engine
from tinybench.features.phase_banks import PhaseBanks
from tinybench.models import submodels
from tinybench.training import phases
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.feed_selection import FeedSelection, select_feed
from tinybench.training.phase_context import PhaseContext
from tinybench.training.run_callbacks import RunCallbacks

_PHASE = "transfer"
_IMAGES_PER_BLOCK = 1024
_IMAGES_PER_CALL = 32  # few enough for a slow backbone, many enough to keep an engine busy

Features = NDArray[np.floating]


class Backbone:
    """A backbone whose pooled features are computed.

    Args:
        config: The configuration of a run with a transfer phase.
        dataset: The images.
        model: The whole model, as `models.build` returned it.

    Attributes:
        width: Number of pooled features of an image.

    Raises:
        ModelError: It has no weights below its head.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, model: keras.Model) -> None:
        # Images as they are: augmentation changes neither these features nor the name of their bank
        transfer = dataclasses.replace(config.transfer, views=0)
        self.config = dataclasses.replace(config, augment=AugmentConfig(), transfer=transfer)
        self.dataset, self.model = dataset, model
        cut = phases.find_phase_cut(model, self.config, _PHASE)
        if cut is None:
            raise ModelError(f"{config.model_name} has no frozen weights, so that it has no features to probe.")
        self.cut: Cut = cut
        self.width = int(submodels.backbone(model).output.shape[-1])

    def pool(self, features: Features) -> Features:
        """Return features at the cut (n, *shape) as pooled features (n, width): means over all positions."""
        if features.shape[1:] == (self.width,):
            return features
        by_position = features.reshape(len(features), -1, self.width)
        pooled: Features = by_position.mean(axis=1, dtype=np.float32)
        return pooled

    def find_stored(self) -> PhaseBanks | None:
        """Return the features of all training and validation images, if they are stored already."""
        weights = bank.hash_extractor(self.cut.extractor)
        only_float32 = self.config.precision == "float32"
        for dtype in ["float32"] if only_float32 else ["float16", "float32"]:
            for computing in ["float32"] if only_float32 or self.config.engine == "keras" else ["bfloat16", "float32"]:
                banks = PhaseBanks(
                    self.dataset, self.config, self.cut, 0, weights=weights, computing=computing, dtype=dtype
                )
                if not banks.missing:
                    return banks
        return None

    def sample(self, split: Split, indices: NDArray[np.int64]) -> Features:
        """Return the pooled features of a few training or validation images, by Keras unless they are stored.

        Args:
            split: The training or the validation split of the data set.
            indices: Which of its images.
        """
        stored = self.find_stored()
        if stored is not None:
            return self.pool(stored.bank_of(split).take(split.rows[indices]))
        chosen = Split(split.pool, split.rows[indices], split.labels[indices])
        return np.concatenate([*self.compute(engines.KerasEngine(self.cut.extractor), chosen, RunCallbacks())])

    def compute(self, extract: Extract, split: Split, callbacks: RunCallbacks) -> Iterator[Features]:
        """Yield the pooled features of consecutive images of a split, computed now."""
        for start in range(0, len(split), _IMAGES_PER_CALL):
            pixels = split.images(slice(start, start + _IMAGES_PER_CALL)).astype(np.float32)
            yield self.pool(extract(pixels))
            callbacks.on_features_step(len(pixels))

    @contextmanager
    def open_features(self, callbacks: RunCallbacks) -> Iterator[OpenFeatures]:
        """Compute the features of all training and validation images that are not stored, as a transfer phase does.

        Inside the block nobody removes them from the cache.

        Args:
            callbacks: Receives the plan and the progress of computing features.
        """
        with TemporaryDirectory() as folder, ExitStack() as leases:
            context = PhaseContext(self.config, _PHASE, self.dataset, Checkpoints(Path(folder)))
            with select_feed(context, self.model, callbacks) as selection:
                yield OpenFeatures(self, selection, leases, callbacks)


class OpenFeatures:
    """The pooled features of a data set: those of test images are computed when they are first read.

    Args:
        backbone: The backbone.
        selection: The feed of a transfer phase.
        leases: Keeps features in the cache until it is closed.
        callbacks: Receives the progress of computing features.

    Attributes:
        decision: How the features of the training and validation images were computed.
        images: How many features were computed, and not stored before.
        seconds: How long that took.
    """

    def __init__(
        self, backbone: Backbone, selection: FeedSelection, leases: ExitStack, callbacks: RunCallbacks
    ) -> None:
        self.decision = selection.decision
        self.images, self.seconds = selection.decision.images, selection.decision.seconds
        self._backbone, self._selection, self._leases = backbone, selection, leases
        self._callbacks = callbacks
        self._kept: dict[int, Features] = {}  # of splits that are not in a bank

    def read_blocks(self, split: Split) -> Iterator[Features]:
        """Yield the pooled features of consecutive images of a split (n, width)."""
        stored = self._find_bank(split)
        for start in range(0, len(split), _IMAGES_PER_BLOCK):
            rows = slice(start, start + _IMAGES_PER_BLOCK)
            if stored is None:
                yield self._kept[id(split)][rows]
            else:
                yield self._backbone.pool(stored.take(split.rows[rows]))

    def _find_bank(self, split: Split) -> FeatureBank | None:
        """Return the filled bank of a split; None if its features are in memory, for want of room in the cache."""
        if id(split) in self._kept:
            return None
        banks = self._selection.banks
        if banks is not None:
            stored = banks.bank_of(split)
            if not stored.missing():
                return stored
            try:
                return self._fill(banks, stored)
            except (OSError, OverflowError):  # no room, or a feature that float16 cannot hold
                stored.shards.clear()
        with self._timed(len(split)):
            computed = self._backbone.compute(self._engine, split, self._callbacks)
            self._kept[id(split)] = np.concatenate([*computed])
        return None

    def _fill(self, banks: PhaseBanks, stored: FeatureBank) -> FeatureBank:
        with suppress(OSError):  # a read-only cache
            self._leases.enter_context(cache.lease(stored.folder))
        engine = self._engine
        with self._timed(stored.missing()):
            stored.fill(engine, banks.describe(stored), engine.name, self._callbacks)
        return stored

    @cached_property
    def _engine(self) -> Engine:
        """The engine that computed the other features."""
        decision, extractor = self.decision, self._backbone.cut.extractor
        if self._selection.engine is not None:
            return self._selection.engine
        if decision.mode == "live":
            return engines.KerasEngine(extractor)
        return engines.build_engine(extractor, decision.engine, decision.computing)

    @contextmanager
    def _timed(self, images: int) -> Iterator[None]:
        engine = self._engine  # not counted: it may have to be compiled
        self._callbacks.on_message(f"computing features of {images:,} more images in {engine.name} {engine.precision}")
        self._callbacks.on_features_begin(images)
        start_time = time.perf_counter()
        try:
            yield
        finally:
            self._callbacks.on_features_end()
        self.images += images
        self.seconds += time.perf_counter() - start_time
