"""The feature banks of a phase: one for each view, and one for validation images from another pool."""

from __future__ import annotations

import errno
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich import filesize

from tinybench.config.sections import PhaseConfig, TransferConfig
from tinybench.core import cache
from tinybench.core.errors import FeatureError
from tinybench.data import augment
from tinybench.features.bank import FeatureBank, View, rows_of_splits
from tinybench.features.feed import BankFeed
from tinybench.hardware import device

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset, Split
    from tinybench.features.bank import Extract
    from tinybench.features.cut import Cut
    from tinybench.training.run_callbacks import RunCallbacks

_FULL = (errno.ENOSPC, errno.EDQUOT)

# Bytes that stay free on the disk for checkpoints and artifacts
_RESERVE = 2**29


class PhaseBanks:
    """The banks of a phase, in one precision and one type.

    Args:
        dataset: The images.
        config: The run's configuration.
        cut: Where features are taken.
        views: Number of augmented views beside the plain one.
        weights: Hash of the model up to the cut.
        computing: Precision that the engine computes in.
        dtype: NumPy type that features are stored in.
    """

    def __init__(
        self, dataset: Dataset, config: RunConfig, cut: Cut, views: int, *, weights: str, computing: str, dtype: str
    ) -> None:
        self.dataset, self.config, self.cut = dataset, config, cut
        self.computing, self.dtype = computing, dtype
        self._key = key = {"extractor": weights, "computing": computing, "dtype": dtype}
        same_pool = dataset.train.pool is dataset.validation.pool

        def bank(number: int, *splits: Split) -> FeatureBank:
            view = View(number, config.augment, config.seed)
            return FeatureBank(splits[0].pool, rows_of_splits(*splits), view, cut.shape, key)

        unaugmented = bank(0, dataset.train, dataset.validation) if same_pool else bank(0, dataset.train)
        self._views = [unaugmented, *(bank(number, dataset.train) for number in range(1, views + 1))]
        self._validation = unaugmented if same_pool else bank(0, dataset.validation)
        self.banks = self._views if same_pool else [*self._views, self._validation]

    @property
    def bytes(self) -> int:
        """The size of all features in bytes."""
        return sum(bank.shards.bytes for bank in self.banks)

    @property
    def missing(self) -> int:
        """The number of images without features, counted once for each view."""
        return sum(bank.missing() for bank in self.banks)

    @property
    def description(self) -> str:
        """The content of the banks in words."""
        shape = " x ".join(map(str, self.cut.shape))
        images = sum(len(bank.rows) for bank in self.banks if not bank.view.number)
        views = len(self._views) - 1
        passes = f"as they are and in {views} augmented views" if views else "as they are"
        return f"features of {images:,} images {passes} at {self.cut.layer} ({shape}), {filesize.decimal(self.bytes)}"

    def bank_of(self, split: Split) -> FeatureBank:
        """Return the bank with the features of the images of any split as they are, in the same precision and type.

        That of the training or validation images is one of these banks.
        """
        for bank, own in ((self._views[0], self.dataset.train), (self._validation, self.dataset.validation)):
            if split is own:
                return bank
        view = View(0, self.config.augment, self.config.seed)
        return FeatureBank(split.pool, split.rows, view, self.cut.shape, self._key)

    def feed(self) -> BankFeed:
        """Return the feed of the trainer; no features may be missing."""
        return BankFeed(self.dataset, self.config.seed, self._views, self._validation, device.data_budget())

    @property
    def stored_bytes(self) -> int:
        """The size of the features on disk in bytes."""
        return sum(cache.entry_bytes(bank.folder) for bank in self.banks)

    @property
    def engine_name(self) -> str:
        """The engine that computed the features last; empty if there are none."""
        return cache.read_producer(self._views[0].folder)

    def lease(self, leases: ExitStack) -> None:
        """Keep other processes from removing the banks until `leases` is closed."""
        for bank in self.banks:
            with suppress(OSError):  # a read-only cache, from which nothing can be removed
                leases.enter_context(cache.lease(bank.folder))

    def make_room(self) -> None:
        """Remove the least recently used features as far as the budget requires.

        Raises:
            FeatureError: The features of this phase exceed the budget or the free space on the disk.
        """
        stored = self.stored_bytes
        budget = cache.size_budget(self.config.cache.budget)
        needed = f"{filesize.decimal(self.bytes)} of features are"
        if self.bytes <= budget:
            cache.prune(budget - self.bytes + stored, ("features",))
        other_bytes = cache.kind_bytes("features") - stored
        if other_bytes + self.bytes > budget:
            in_use = f", of which runs that go on use {filesize.decimal(other_bytes)}" if self.bytes <= budget else ""
            raise FeatureError(f"{needed} over the budget of {filesize.decimal(budget)}{in_use} (cache.budget)")
        free = shutil.disk_usage(cache.root_folder()).free
        if self.bytes - stored > free - _RESERVE:
            raise FeatureError(
                f"{needed} too much for the disk ({filesize.decimal(free)} free, of which "
                f"{filesize.decimal(_RESERVE)} are left to checkpoints)"
            )

    def fill(self, extract: Extract, engine: str, callbacks: RunCallbacks) -> float:
        """Compute the missing features (see `FeatureBank.fill`).

        If the disk is full, incomplete banks are removed, since checkpoints need the space; complete ones stay.

        Returns:
            Seconds that this process computed.
        """
        incomplete = [bank for bank in self.banks if bank.missing()]
        try:
            return sum(bank.fill(extract, self.describe(bank), engine, callbacks) for bank in incomplete)
        except OSError as error:
            if error.errno in _FULL:
                for bank in incomplete:
                    bank.shards.clear()
            raise

    def discard(self) -> None:
        """Remove the banks, except those that another process uses."""
        for bank in self.banks:
            cache.remove(bank.folder)

    def describe(self, bank: FeatureBank) -> str:
        """Return what a bank holds, for `tinybench cache list`."""
        view = f"augmented view {bank.view.number}" if bank.view.number else "as they are"
        model = Path(self.config.model).name
        return f"{model} at {self.cut.layer}, {len(bank.rows):,} images of {self.config.dataset}, {view}, {self.dtype}"


def view_count(config: RunConfig, settings: PhaseConfig) -> int:
    """Return how many augmented views of a phase are stored: none if nothing augments."""
    if not isinstance(settings, TransferConfig) or isinstance(settings.views, str):
        return 0
    return settings.views if augment.changes_images(config.augment) else 0
