"""How a phase is fed, kept beside its checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich import filesize

_FILE = "feed.json"


@dataclass
class Decision:
    """How a phase is fed: what a resume needs to go on in the same way.

    Attributes:
        mode: `bank`, `engine` (features made as they are needed) or `live` (pixels, all in Keras).
        reason: Why it is not `bank`.
        layer: Where the frozen part ends.
        engine: What runs the frozen part; empty when nothing had to run.
        computing: The precision it computes in.
        augmented: Images are augmented anew every epoch.
        dtype: NumPy type that features are kept in.
        bytes: Of kept features.
        images: That this run computed.
        seconds: That computing them took, in the process that finished it.
        trials: How the engines fared, where they were tried.
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
    def read(cls, folder: Path) -> Decision | None:
        """What was decided for the phase whose checkpoints are in a folder; None when nothing was."""
        try:
            return cls(**json.loads((folder / _FILE).read_text("utf-8")))
        except FileNotFoundError:
            return None

    def write(self, folder: Path) -> None:
        """Published by a rename, as checkpoints are."""
        part = folder / f"{_FILE}.part"
        part.write_text(json.dumps(asdict(self)), "utf-8")
        part.replace(folder / _FILE)

    @property
    def words(self) -> str:
        """For people, as the end of a sentence that begins with a phase."""
        looks = "augmented anew every epoch" if self.augmented else "as they are"
        if self.mode == "live":
            return f"trained on pixels, {looks}: {self.reason}"
        if self.mode == "engine":
            return (
                f"ran its frozen part, to {self.layer}, in {self.engine} every epoch, on images {looks}: {self.reason}"
            )
        kept = (
            f"trained on kept features at {self.layer} ({filesize.decimal(self.bytes)}, {self.engine} {self.computing})"
        )
        return kept + (
            f", {self.images:,} of them computed in {self.seconds:.0f} s" if self.images else ", all there before"
        )
