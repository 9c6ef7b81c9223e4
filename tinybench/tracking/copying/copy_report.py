"""Say how far a copy is, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class CopyReport:
    """The outcome of copying a store.

    Attributes:
        runs: Runs that were copied.
        known_runs: Runs that the target had already.
        deleted_runs: Deleted runs, which are left out.
        original_runs: Runs that were once copied from the target, which has the originals.
        artifacts: Files of runs and logged models that were copied.
        models: Logged models that were copied.
        known_models: Logged models that the target had already.
        versions: Versions of registered models that were copied.
        known_versions: Versions that the target had already.
        notes: What was left out, or has another number in the target.
        problems: What a store refused.
        is_verified: Whether both stores were compared.
        differences: How they differ.
    """

    runs: int = 0
    known_runs: int = 0
    deleted_runs: int = 0
    original_runs: int = 0
    artifacts: int = 0
    models: int = 0
    known_models: int = 0
    versions: int = 0
    known_versions: int = 0
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_verified: bool = False
    differences: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """True if nothing was refused and no difference was detected."""
        return not (self.problems or self.differences)


class CopyCallbacks:
    """Is told how far a copy is; does nothing by itself."""

    def on_stage_begin(self, name: str, total: int) -> None:
        """Begin a stage that has a number of steps."""

    def on_step(self, line: str) -> None:
        """Finish a step of the stage, described in a line."""

    def on_message(self, text: str) -> None:
        """Tell the person at the terminal something."""
