"""Show how far a copy of a store is, and how it ended."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tinybench.display.plain_lines import print_line, print_note
from tinybench.tracking.copying.copy_report import CopyCallbacks, CopyReport

if TYPE_CHECKING:
    from rich.console import Console as Terminal

_MOST_LINES = 10


class CopyConsole(CopyCallbacks):
    """The display of a copy: a progress bar on a real terminal, a line for each run and model elsewhere.

    Args:
        terminal: Where to write.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._bar: Progress | None = None

    def __enter__(self) -> CopyConsole:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def on_stage_begin(self, name: str, total: int) -> None:
        """Start a progress bar over the steps of a stage."""
        self.close()
        if self._terminal.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._terminal)
            self._bar.add_task(name, total=total)
            self._bar.start()

    def on_step(self, line: str) -> None:
        """Move the progress bar, or print the line."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])
        else:
            print_line(self._terminal, line)

    def on_message(self, text: str) -> None:
        """Print a message."""
        print_line(self._terminal, text)

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def print_report(self, report: CopyReport) -> None:
        """Print the counts, what was left out or refused, and the first differences."""
        for note in report.notes[:_MOST_LINES]:
            print_note(self._terminal, note)
        if len(report.notes) > _MOST_LINES:
            print_note(self._terminal, f"{len(report.notes) - _MOST_LINES} more notes of these kinds.")
        print_line(
            self._terminal,
            f"Copied: {report.runs} runs, {report.artifacts} artifacts, {report.models} models, "
            f"{report.versions} versions. Known already: {report.known_runs} runs, {report.known_models} models, "
            f"{report.known_versions} versions.",
        )
        if report.deleted_runs:
            print_line(self._terminal, f"Left out: {report.deleted_runs} deleted runs.")
        if report.original_runs:
            print_line(self._terminal, f"Left as they are: {report.original_runs} runs that were copied from there.")
        for problem in report.problems[:_MOST_LINES]:
            print_line(self._terminal, f"Not copied: {problem}")
        if report.problems:
            print_line(
                self._terminal, f"{len(report.problems)} problems. Copy again: what is missing is then sent again."
            )
        self._print_check(report)

    def _print_check(self, report: CopyReport) -> None:
        if not report.is_verified:
            print_line(self._terminal, "The stores are not compared.")
            return
        count = len(report.differences)
        if not count:
            print_line(self._terminal, "Both stores hold the same.")
            return
        for difference in report.differences[:_MOST_LINES]:
            print_line(self._terminal, f"Different: {difference}")
        more = f", of which the first {_MOST_LINES} are shown" if count > _MOST_LINES else ""
        print_line(self._terminal, f"{count} differences{more}. Copy again: what differs is then sent again.")
