"""The decision how a phase is fed, made once and stored beside its checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich import filesize

from tinybench.core import atomic

_FILE = "feed.json"


@dataclass
class FeedDecision:
    """The decision how a phase is fed; a resumed phase is fed in the same way.

    Attributes:
        mode: `bank` (stored features), `engine` (features computed in every epoch) or `live` (pixels, all in Keras).
        reason: Why the mode is not `bank`.
        layer: The last layer of the frozen part.
        engine: The engine that ran the frozen part; empty if nothing had to run.
        computing: The precision of the engine.
        augmented: Images are augmented anew in every epoch.
        dtype: NumPy type of stored features.
        bytes: Size of the stored features.
        images: How many features this run computed.
        seconds: How long that took, in the process that finished it.
        trials: The measurements of each engine, if engines were compared.
    """

    mode: str
    reason: str = ""
    layer: str = ""
    engine: str = ""
    computing: str = "float32"
    augmented: bool = False
    dtype: str = "float16"
    bytes: int = 0
    images: int = 0
    seconds: float = 0.0
    trials: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> FeedDecision | None:
        """Read the decision from a folder of checkpoints; None if there is none."""
        try:
            return cls(**json.loads((folder / _FILE).read_text("utf-8")))
        except FileNotFoundError:
            return None

    def write(self, folder: Path) -> None:
        """Write the decision to a folder of checkpoints."""
        atomic.write_text(folder / _FILE, json.dumps(asdict(self)))

    @property
    def description(self) -> str:
        """The decision in words that continue "transfer: "."""
        images = "augmented anew every epoch" if self.augmented else "as they are"
        if self.mode == "live":
            return f"trained on pixels, {images}: {self.reason}"
        if self.mode == "engine":
            return (
                f"ran its frozen part, to {self.layer}, in {self.engine} every epoch, on images {images}: {self.reason}"
            )
        size = filesize.decimal(self.bytes)
        computed = f"{self.images:,} of them computed in {self.seconds:.0f} s" if self.images else "all there before"
        return f"trained on stored features at {self.layer} ({size}, {self.engine} {self.computing}), {computed}"
