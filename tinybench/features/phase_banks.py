"""All the banks that a phase needs: one a view, and one for validation images from elsewhere."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich import filesize

from tinybench.config.sections import TransferConfig
from tinybench.core import cache
from tinybench.core.errors import FeatureError
from tinybench.data import augment
from tinybench.features.bank import Bank, View, rows_of
from tinybench.features.feed import Banked
from tinybench.hardware import device

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset, Split
    from tinybench.features.bank import Extract
    from tinybench.features.cut import Cut

_FULL = (errno.ENOSPC, errno.EDQUOT)

# Stays free on the disk for checkpoints and artifacts
_SPARE = 2**29


class Banks:
    """The banks of a phase, in one precision and one type."""

    def __init__(
        self, dataset: Dataset, config: RunConfig, cut: Cut, views: int, *, weights: str, computing: str, dtype: str
    ) -> None:
        """Args: the images, the configuration, where features are taken, augmented views beside the plain one.

        `weights` is the hash of what lies below the cut, `computing` the precision that it runs in, `dtype` the
        NumPy type that is kept.
        """
        self.dataset, self.config, self.cut = dataset, config, cut
        self.computing, self.dtype = computing, dtype
        key = {"extractor": weights, "computing": computing, "dtype": dtype}
        together = dataset.train.pool is dataset.validation.pool

        def bank(number: int, *splits: Split) -> Bank:
            view = View(number, config.augment, config.seed)
            return Bank(splits[0].pool, rows_of(*splits), view, cut.shape, key)

        plain = bank(0, dataset.train, dataset.validation) if together else bank(0, dataset.train)
        self._views = [plain, *(bank(number, dataset.train) for number in range(1, views + 1))]
        self._validation = plain if together else bank(0, dataset.validation)
        self.all = self._views if together else [*self._views, self._validation]

    @property
    def bytes(self) -> int:
        """Bytes of all features."""
        return sum(bank.shards.bytes for bank in self.all)

    @property
    def missing(self) -> int:
        """Images whose features are still to be computed, each view counted."""
        return sum(bank.missing() for bank in self.all)

    @property
    def words(self) -> str:
        """What the banks hold, for people."""
        shape = " x ".join(map(str, self.cut.shape))
        plain = sum(len(bank.rows) for bank in self.all if not bank.view.number)
        views = len(self._views) - 1
        looks = f"as they are and in {views} augmented views" if views else "as they are"
        return f"features of {plain:,} images {looks} at {self.cut.layer} ({shape}), {filesize.decimal(self.bytes)}"

    def feed(self) -> Banked:
        """What the training model is fed with, once nothing is missing."""
        return Banked(self.dataset, self.config.seed, self._views, self._validation, device.room())

    @property
    def on_disk(self) -> int:
        """Bytes that are there already."""
        return sum(cache.size(bank.folder) for bank in self.all)

    @property
    def made_by(self) -> str:
        """The engine that computed them last; empty when nothing is there."""
        return cache.made_by(self._views[0].folder)

    def hold(self, leases: ExitStack) -> None:
        """Keep the banks from being removed."""
        for bank in self.all:
            with suppress(OSError):  # a cache that is only read, which nobody can remove from either
                leases.enter_context(cache.lease(bank.folder))

    def make_room(self) -> None:
        """Remove features that were not used for longest, as far as the budget asks for it.

        Raises:
            FeatureError: these would be over the budget, or over what is free on the disk.
        """
        have = self.on_disk
        budget = cache.budget(self.config.cache.budget)
        needed = f"{filesize.decimal(self.bytes)} of features are"
        if self.bytes <= budget:
            cache.prune(budget - self.bytes + have, ("features",))
        others = cache.total("features") - have
        if others + self.bytes > budget:
            used = f", of which runs that go on use {filesize.decimal(others)}" if self.bytes <= budget else ""
            raise FeatureError(f"{needed} over the budget of {filesize.decimal(budget)}{used} (cache.budget)")
        free = shutil.disk_usage(cache.root()).free
        if self.bytes - have > free - _SPARE:
            raise FeatureError(
                f"{needed} too much for the disk ({filesize.decimal(free)} free, of which "
                f"{filesize.decimal(_SPARE)} are left to checkpoints)"
            )

    def fill(self, extract: Extract, engine: str, report: Callable[[int], None], wait: Callable[[], None]) -> float:
        """Compute what is missing (see `Bank.fill`) in an engine of that name.

        On a full disk what was begun is removed, since checkpoints want a place; what was complete stays.

        Returns:
            Seconds that this process computed.
        """
        begun = [bank for bank in self.all if bank.missing()]
        try:
            return sum(bank.fill(extract, self._about(bank), engine, report, wait) for bank in begun)
        except OSError as error:
            if error.errno in _FULL:
                for bank in begun:
                    bank.shards.clear()
            raise

    def discard(self) -> None:
        """Remove all that was kept, unless another process uses it."""
        for bank in self.all:
            cache.remove(bank.folder)

    def _about(self, bank: Bank) -> str:
        view = f"augmented view {bank.view.number}" if bank.view.number else "as they are"
        model = Path(self.config.model).name
        return f"{model} at {self.cut.layer}, {len(bank.rows):,} images of {self.config.dataset}, {view}, {self.dtype}"


def views(config: RunConfig, phase: str) -> int:
    """How many augmented views a phase keeps: none where nothing augments."""
    settings = getattr(config, phase)
    if not isinstance(settings, TransferConfig) or isinstance(settings.views, str):
        return 0
    return settings.views if augment.changes(config.augment) else 0
