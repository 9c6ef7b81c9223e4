"""The terminal: a progress display while a run goes on, and a closing table."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console as Terminal
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from tinybench.core.redaction import without_secrets
from tinybench.job import description
from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.config.sections import PhaseConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.results import Result
    from tinybench.features.feed_decision import FeedDecision
    from tinybench.training.phase_context import PhaseContext
    from tinybench.training.precision import PrecisionChoice
    from tinybench.training.progress import Epoch


class PipeSafeTerminal(Terminal):
    """A terminal whose reader may leave, as `head` does: the run goes on without being seen."""

    def on_broken_pipe(self) -> None:
        """As rich does, without the end of the program."""
        with suppress(SystemExit):
            super().on_broken_pipe()


class Console(RunCallbacks):
    """Shows a run to a person: its beginning, the end of each phase and, on a terminal, a bar as it goes on."""

    def __init__(self, terminal: Terminal | None = None) -> None:
        """Args: where to write; nowhere when None."""
        self.terminal = terminal or Terminal(quiet=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._steps = 0
        self._first = 1
        self._figures = ""

    def on_run_begin(self, config: RunConfig, dataset: Dataset, device: str, link: str) -> None:
        """What is about to be trained, and where it can be watched."""
        counts = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
        self.terminal.print(f"[bold]{escape(description.name(config))}[/bold] ({config.recipe}) on {device}")
        self._line(f"{counts} images, {len(dataset.class_names)} classes; run {link}")
        for warning in description.warnings(config, dataset):
            self.terminal.print(f"[yellow]Note:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)

    def on_message(self, text: str) -> None:
        """What is about to be computed, or why nothing is kept."""
        self._line(text)

    def on_features_begin(self, images: int) -> None:
        """Show a bar over the images whose features are computed."""
        self._show_bar("features", images, "features")

    def on_features_step(self, images: int) -> None:
        """Move the bar by so many images."""
        if self._bar is not None:
            self._bar.update(self._task, advance=images)

    def on_features_end(self) -> None:
        """Take the bar away."""
        self.close()

    def on_phase_begin(self, context: PhaseContext, feed: FeedDecision, precision: PrecisionChoice) -> None:
        """Show a bar over all the steps of the phase."""
        self._steps = math.ceil(len(context.dataset.train) / context.config.batch_size)
        self._first = context.epochs_before + 1
        self._show_bar(context.phase, context.settings.epochs * self._steps, context.phase)

    def _show_bar(self, title: str, total: int, phase: str) -> None:
        if not self.terminal.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self.terminal,
        )
        self._task = self._bar.add_task(title, total=total, figures="", phase=phase)
        self._bar.start()

    def on_step_end(self, epoch: int, step: int, loss: float) -> None:
        """Move the bar."""
        if self._bar is not None:
            done = (epoch - self._first) * self._steps + step
            figures = f"loss {loss:.3f} {self._figures}"
            phase = self._bar.tasks[0].fields["phase"]
            self._bar.update(self._task, completed=done, figures=figures, description=f"{phase} epoch {epoch}")

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Show the epoch's validation figures."""
        values = epoch.metrics
        self._figures = f"val loss {values['val/loss']:.3f} top-1 {values['val/accuracy']:.3f}"
        if self._bar is not None:
            self._bar.update(self._task, completed=(epoch.number - self._first + 1) * self._steps)

    def on_phase_end(self, phase: str, found: dict[str, float]) -> None:
        """Take the bar away and say how the phase ended."""
        self.close()
        scored = [f"{label} {found[key]:.4g}" for key, label in description.COLUMNS.items() if key in found]
        if any(name.startswith("test/") for name in found):
            self._line(f"{phase} done, on the test images: {', '.join(scored)}")
        else:  # of a fold
            self._line(f"{phase} done, on the images held out: top-1 {found['best/val_accuracy']:.4g}")

    def on_fold_begin(self, number: int, count: int) -> None:
        """Say which fold comes."""
        self._line(f"Fold {number} of {count}")

    def on_folds_end(self, result: Result) -> None:
        """The closing table of a run with folds."""
        names = [name for name in description.HELD_OUT if name in result.folds[0].metrics and "auc" not in name]
        table = Table(box=None, title="Images held out")
        for head in ("fold", *(description.HELD_OUT[name] for name in names)):
            table.add_column(head, no_wrap=True)
        for fold in result.folds:
            table.add_row(str(fold.number), *(f"{fold.metrics[name]:.4f}" for name in names))
        spread = [description.spread_of(result.summary, f"folds/{name.partition('/')[2]}") for name in names]
        table.add_row("mean ± sd", *spread)
        self.terminal.print(table)
        test = Table(box=None, title="Test images: all folds together, and each alone")
        for head in ("", *(description.HELD_OUT[name] for name in names)):
            test.add_column(head, no_wrap=True)
        keys = [name.partition("/")[2] for name in names]
        test.add_row("together", *(f"{result.summary[f'test/{key}']:.4f}" for key in keys))
        test.add_row("mean ± sd", *(description.spread_of(result.summary, f"folds/test_{key}") for key in keys))
        self.terminal.print(test)
        self._certainty(result.summary)
        self._ways(result)

    def on_run_end(self, result: Result) -> None:
        """The closing table, with the way to the run."""
        table = Table("phase", "best epoch", *description.COLUMNS.values(), title="Test images")
        for phase, left in result.phases.items():
            figures = [f"{left.metrics[key]:.4g}" if key in left.metrics else "" for key in description.COLUMNS]
            table.add_row(phase, str(left.best_epoch), *figures)
        self.terminal.print(table)
        self._certainty(result.metrics)
        self._ways(result)

    def _certainty(self, found: dict[str, float]) -> None:
        """How sure the last line is, how sure the model may be, and what it costs."""
        if "test/accuracy_low" in found:
            interval = f"[{found['test/accuracy_low']:.4f}, {found['test/accuracy_high']:.4f}]"
            self._line(f"Top-1 {found['test/accuracy']:.4f}, 95 % interval {interval}")
        if "test/ece_scaled" in found:
            self._line(
                f"Calibration error {found['test/ece']:.4f}; at temperature {found['best/temperature']:.2f}, fitted on "
                f"the validation images, {found['test/ece_scaled']:.4f}"
            )

        if "efficiency/cpu_latency_p50_ms" in found:
            size, peak = (found[f"efficiency/{name}_bytes"] / 1e6 for name in ("weight", "cpu_memory_peak"))
            self._line(
                f"An image takes {found['efficiency/cpu_latency_p50_ms']:.3g} ms on the processor (p50, batch 1), and "
                f"{peak:,.0f} MB; weights {size:,.3g} MB; efficiency ratio {found['efficiency/ratio']:.3g}"
            )

    def _ways(self, result: Result) -> None:
        """Where to find what the run left."""
        self._line(f"Run {result.run_id} in {without_secrets(result.tracking_uri)}")
        self._line(f"Model {result.model_uri}")
        store = without_secrets(result.tracking_uri)
        needs = "" if store.startswith("http") else f"   (once this runs: mlflow ui --backend-store-uri {store})"
        self._line(f"Page {result.link}{needs}")

    def _line(self, text: str) -> None:
        """A line that is not cut, so that it can be copied or searched for."""
        self.terminal.print(text, highlight=False, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Leave the terminal as it was, whatever happened."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
