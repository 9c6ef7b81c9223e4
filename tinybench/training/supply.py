"""What a phase is fed with, and why: kept features where there is a frozen part, else pixels.

The choice is made once for a phase and written beside its checkpoints, so that a resumed phase is fed
with the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray
from rich import filesize

from tinybench import storage
from tinybench.config import PhaseConfig, RunConfig
from tinybench.data.dataset import Dataset
from tinybench.errors import FeatureError
from tinybench.training import device, engine_table, engines, features, feed, phases
from tinybench.training.cut import Cut
from tinybench.training.features import Bank, View

# Stays free on the disk for checkpoints and artifacts
_SPARE = 2**29

_SAMPLE = 64
_DECISION = "feed.json"


class Watcher(Protocol):
    """Who is told what goes on."""

    def features_planned(self, text: str) -> None:
        """Say what is about to be done."""

    def features_begin(self, images: int) -> None:
        """Show a bar over so many images."""

    def features_step(self, images: int) -> None:
        """So many more are done."""

    def features_end(self) -> None:
        """Take the bar away."""


@dataclass
class Decision:
    """How a phase is fed; what a resume needs to go on in the same way.

    Attributes:
        mode: `bank`, `engine` (features made as they are needed) or `live` (pixels, all in Keras).
        reason: Why it is not `bank`.
        engine: What ran the frozen part.
        computing: The precision it computed in.
        dtype: NumPy type that features are kept in.
        layer: Where the frozen part ends.
        bytes: Of kept features.
        images: That were computed by this run.
        seconds: That computing them took.
        choice: How the engines fared, where they were tried.
    """

    mode: str
    reason: str = ""
    engine: str = "keras"
    computing: str = "float32"
    dtype: str = "float16"
    layer: str = ""
    bytes: int = 0
    images: int = 0
    seconds: float = 0.0
    choice: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Supply:
    """A feed, the cut that the training model begins at (None: at pixels), and how it came to be."""

    feed: feed.Feed
    cut: Cut | None
    decision: Decision


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
        phase: `transfer` or `finetune`.
        dataset: The images.
        folder: Where the phase's checkpoints are, and the decision of a phase that is resumed.
        trained: The head has been trained, so that engines can be judged by its labels.
        watcher: Who is told.

    Raises:
        EngineError: the engine that the configuration wants cannot be used.
    """
    with ExitStack() as leases:
        arrangement = _Arrangement(model, config, phase, dataset, trained, watcher, leases)
        supply = arrangement.supply(_read(folder))
        _write(folder, supply.decision)
        yield supply


class _Arrangement:
    def __init__(
        self,
        model: keras.Model,
        config: RunConfig,
        phase: str,
        dataset: Dataset,
        trained: bool,
        watcher: Watcher,
        leases: ExitStack,
    ) -> None:
        self.model, self.config, self.phase, self.dataset = model, config, phase, dataset
        self.settings: PhaseConfig = getattr(config, phase)
        self.trained, self.watcher, self.leases = trained, watcher, leases

    def supply(self, earlier: Decision | None) -> Supply:
        """The feed of the phase."""
        reason = earlier.reason if earlier else self._against_bank()
        cut = phases.divide(self.model, self.config, self.phase)
        if cut is None or (earlier and earlier.mode == "live"):
            return self._live(reason or "nothing is frozen below the first layer that is trained")
        decision = earlier or Decision("bank", reason, layer=cut.layer)
        if not reason:
            try:
                return self._banked(cut, decision, resumed=earlier is not None)
            except _NoBank as refusal:
                reason = str(refusal)
        return self._unbanked(cut, reason, earlier)

    def _against_bank(self) -> str:
        """Why the configuration rules a bank out."""
        mixing = [name for name in ("mixup", "cutmix") if getattr(self.config.augment, name)]
        if mixing:
            return f"augment.{mixing[0]} mixes the images of a batch"
        return f"{self.phase}.views is live" if self.settings.views == "live" else ""

    def _live(self, reason: str) -> Supply:
        self.watcher.features_planned(f"{self.phase} trains on pixels: {reason}.")
        return Supply(feed.Pixels(self.dataset, self.config.seed), None, Decision("live", reason))

    def _unbanked(self, cut: Cut, reason: str, earlier: Decision | None) -> Supply:
        """Features made as they are needed, where an engine is faster than Keras; else pixels."""
        if earlier:
            decision, engine = earlier, engine_table.make(cut.extractor, earlier.engine, earlier.computing)
        elif reason.startswith("augment."):
            return self._live(reason)
        else:
            choice = self._choose(cut, self.settings.epochs * self._images())
            if choice.engine.name == "keras":
                return self._live(reason)
            engine = choice.engine
            decision = Decision("engine", reason, engine.name, engine.precision, "", cut.layer, choice=choice.as_json())
        self.watcher.features_planned(
            f"{self.phase} runs its frozen part, up to {cut.layer}, in {decision.engine} every epoch: {reason}."
        )
        return Supply(feed.Extracted(self.dataset, self.config, engine), cut, decision)

    def _banked(self, cut: Cut, decision: Decision, *, resumed: bool) -> Supply:
        """Features from banks, filled first where they are not complete.

        Raises:
            _NoBank: there is no place for it.
        """
        weights = features.of_extractor(cut.extractor)
        dtypes = (
            [decision.dtype]
            if resumed
            else ["float32"]
            if self.config.precision == "float32"
            else ["float16", "float32"]
        )
        for dtype in dtypes:
            try:
                return self._filled(cut, decision, weights, dtype, resumed=resumed)
            except FeatureError:
                if dtype == dtypes[-1]:
                    raise
                self.watcher.features_planned(f"Features of {cut.layer} are beyond {dtype}: they are kept in float32.")
        raise AssertionError("unreachable")

    def _filled(self, cut: Cut, decision: Decision, weights: str, dtype: str, *, resumed: bool) -> Supply:
        only = self.config.precision == "float32" or self.config.engine == "keras"
        possible = [decision.computing] if resumed else ["float32"] if only else ["bfloat16", "float32"]
        by_precision = {computing: self._banks(cut, weights, computing, dtype) for computing in possible}
        try:
            for computing, banks in by_precision.items():
                self._lease(banks)
                if not any(bank.missing() for bank in banks):
                    return self._ready(cut, banks, decision, computing, dtype)
                self.leases.close()
            return self._fill(cut, by_precision, decision, dtype, resumed=resumed)
        except OSError as error:
            raise _NoBank(f"the features cannot be kept ({error.strerror or error})") from error

    def _fill(
        self, cut: Cut, by_precision: dict[str, list[Bank]], decision: Decision, dtype: str, *, resumed: bool
    ) -> Supply:
        missing = {computing: sum(bank.missing() for bank in banks) for computing, banks in by_precision.items()}
        if resumed:
            engine, speed = engine_table.make(cut.extractor, decision.engine, decision.computing), 0.0
        else:
            choice = self._choose(cut, max(missing.values()))
            engine, speed = choice.engine, choice.taken.images_per_second
            decision.choice = choice.as_json()
        banks = by_precision[engine.precision]
        self._lease(banks)
        self._announce(cut, banks, engine, missing[engine.precision], speed)
        self._make_room(banks)
        self.watcher.features_begin(missing[engine.precision])
        try:
            for bank in banks:
                decision.seconds += bank.fill(engine, self._about(cut, bank), self._step(decision), self._waiting)
        except OSError:
            self.leases.close()
            for bank in banks:  # they are what filled the disk, and checkpoints want a place
                storage.remove(bank.folder)
            raise
        finally:
            self.watcher.features_end()
        decision.engine = engine.name
        return self._ready(cut, banks, decision, engine.precision, dtype, announced=True)

    def _ready(
        self, cut: Cut, banks: list[Bank], decision: Decision, computing: str, dtype: str, *, announced: bool = False
    ) -> Supply:
        decision.mode, decision.computing, decision.dtype = "bank", computing, dtype
        decision.bytes = sum(bank.shards.bytes for bank in banks)
        if not announced:
            self.watcher.features_planned(f"{self.phase}: {self._words(cut, banks)} are kept already.")
        *views, validation = banks if self._apart() else [*banks, banks[0]]
        return Supply(feed.Banked(self.dataset, self.config.seed, views, validation, device.room()), cut, decision)

    def _banks(self, cut: Cut, weights: str, computing: str, dtype: str) -> list[Bank]:
        """One a view; and one for the validation images, where they are no part of the same pool."""
        train, validation = self.dataset.train, self.dataset.validation
        plain = features.rows_of(train) if self._apart() else features.rows_of(train, validation)
        key = {"extractor": weights, "computing": computing, "dtype": dtype}

        def bank(split: Any, rows: NDArray[np.int64], number: int) -> Bank:
            view = View(number, self.config.augment, self.config.seed)
            return Bank(split.pool, rows, view, cut.shape, key)

        views = self.settings.views if self._augments() and self.settings.views != "live" else 0
        found = [bank(train, plain, 0), *(bank(train, train.rows, number + 1) for number in range(int(views)))]
        return [*found, bank(validation, validation.rows, 0)] if self._apart() else found

    def _apart(self) -> bool:
        return self.dataset.train.pool is not self.dataset.validation.pool

    def _augments(self) -> bool:
        return any(asdict(self.config.augment).values())

    def _images(self) -> int:
        return len(self.dataset.train) + len(self.dataset.validation)

    def _choose(self, cut: Cut, work: int) -> engines.Choice:
        trainer = phases.prepare(self.model, self.config, self.phase, cut)[1] if self.trained else None
        head = None if trainer is None else lambda values: np.asarray(trainer(values, training=False))
        sample = self.dataset.train.images(slice(_SAMPLE)).astype(np.float32)
        return engines.choose(
            cut.extractor, sample, work, engine=self.config.engine, precision=self.config.precision, head=head
        )

    def _lease(self, banks: list[Bank]) -> None:
        for bank in banks:
            self.leases.enter_context(bank.held())

    def _make_room(self, banks: list[Bank]) -> None:
        """Remove features that were not used for longest, as far as the budget asks for it.

        Raises:
            _NoBank: the features would be over the budget, or over what is free on the disk.
        """
        needed = sum(bank.shards.bytes for bank in banks)
        have = sum(storage.size(bank.folder) for bank in banks)
        others = storage.total("features") - have
        free = shutil.disk_usage(storage.root()).free
        budget = self.config.cache.budget
        budget = (free + others + have) // 2 if budget is None else budget
        if needed > budget:
            raise _NoBank(f"{_bytes(needed)} of features are over the budget of {_bytes(budget)} (cache.budget)")
        storage.prune(budget - needed + have, ("features",))
        free = shutil.disk_usage(storage.root()).free
        if needed - have > free - _SPARE:
            raise _NoBank(f"{_bytes(needed)} of features are too much for the disk ({_bytes(free)} free)")

    def _announce(self, cut: Cut, banks: list[Bank], engine: engines.Engine, missing: int, speed: float) -> None:
        pace = f", about {_duration(missing / speed)} ({speed:,.0f} images/s)" if speed else ""
        self.watcher.features_planned(
            f"{self.phase}: computing {self._words(cut, banks)} in {engine.name} {engine.precision}{pace}."
        )

    def _words(self, cut: Cut, banks: list[Bank]) -> str:
        total = sum(bank.shards.bytes for bank in banks)
        shape = "×".join(map(str, cut.shape))
        images = sum(len(bank.rows) for bank in banks)
        return f"features of {images:,} images at {cut.layer} ({shape}), {_bytes(total)}"

    def _about(self, cut: Cut, bank: Bank) -> str:
        view = f"view {bank.view.number}" if bank.view.number else "as they are"
        return f"{self.config.model} at {cut.layer}, {len(bank.rows):,} images of {self.config.dataset}, {view}"

    def _step(self, decision: Decision) -> Callable[[int], None]:
        def report(images: int) -> None:
            decision.images += images
            self.watcher.features_step(images)

        return report

    def _waiting(self) -> None:
        self.watcher.features_planned("Another process is computing these features: waiting for it.")


class _NoBank(Exception):
    """Features cannot be kept, and why."""


def _read(folder: Path) -> Decision | None:
    try:
        return Decision(**json.loads((folder / _DECISION).read_text("utf-8")))
    except FileNotFoundError:
        return None


def _write(folder: Path, decision: Decision) -> None:
    """Published by a rename, as checkpoints are."""
    part = folder / f"{_DECISION}.part"
    part.write_text(json.dumps(asdict(decision)), "utf-8")
    part.replace(folder / _DECISION)


def _bytes(count: int) -> str:
    return filesize.decimal(count)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
