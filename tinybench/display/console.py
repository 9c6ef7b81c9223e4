"""Show a run on the terminal: a progress bar while it trains, and its metrics at the end."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console as Terminal
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tinybench.core.metric_text import format_interval, format_metric, is_defined
from tinybench.core.redaction import redact
from tinybench.display.durations import format_duration
from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_line, print_note, print_text
from tinybench.job import description
from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.features.feed_decision import FeedDecision
    from tinybench.tracking.results import Result
    from tinybench.training.phase_context import PhaseContext
    from tinybench.training.precision import PrecisionChoice
    from tinybench.training.progress import Epoch
    from tinybench.training.progress import Progress as PhaseProgress


_BAR_WIDTH = 20  # so that all columns fit into 80 characters
_COSTS = ("cpu_latency_p50_ms", "cpu_memory_peak_bytes", "weight_bytes", "ratio")


def _format_metrics(epoch: Epoch, split: str) -> str:
    loss, accuracy = (epoch.metrics[f"{split}/{name}"] for name in ("loss", "accuracy"))
    return f"loss {format_metric(loss, '.4g') or '-'} top-1 {format_metric(accuracy) or '-'}"


def _format_cell(name: str, value: float | None) -> str:
    return format_metric(value, ",.1f" if name.startswith("efficiency/") else ".4g")


class PipeSafeTerminal(Terminal):
    """A terminal that ignores a broken pipe: when its reader ends, as `head` does, the run goes on unseen."""

    def on_broken_pipe(self) -> None:
        """Close the output as rich does, but do not end the program."""
        with suppress(SystemExit):
            super().on_broken_pipe()


class Console(RunCallbacks):
    """The display of a run: a line for each epoch, and on a real terminal, not in a pipe, a progress bar below them.

    Args:
        terminal: Where to write; nowhere when None.
    """

    def __init__(self, terminal: Terminal | None = None) -> None:
        self.terminal = terminal or Terminal(quiet=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._phase = ""
        self._steps_per_epoch = 0
        self._first_epoch = self._last_epoch = 1
        self._began = self._epoch_ended = time.time()
        self._epochs = 0  # of this process

    def on_run_begin(self, config: RunConfig, dataset: Dataset, device: str, link: str) -> None:
        """Print what is trained, on which data, and the link to the run."""
        title = escape(description.run_title(config))
        self.terminal.print(f"[bold]{title}[/bold] (recipe {config.recipe}) on {device}")
        counts = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
        self._print(f"{counts} images, {len(dataset.class_names)} classes; run {link}")
        for warning in description.list_warnings(config, dataset):
            print_note(self.terminal, warning)

    def on_message(self, text: str) -> None:
        """Print a message."""
        self._print(text)

    def on_features_begin(self, images: int) -> None:
        """Start a progress bar over the images whose features are computed."""
        self._start_bar("features", images)

    def on_features_step(self, images: int) -> None:
        """Move the progress bar by a number of images."""
        if self._bar is not None:
            self._bar.update(self._task, advance=images)

    def on_features_end(self) -> None:
        """Remove the progress bar."""
        self.close()

    def on_phase_begin(self, context: PhaseContext, feed: FeedDecision, precision: PrecisionChoice) -> None:
        """Start a progress bar over all training steps of the phase."""
        self._phase, self._epochs = context.phase, 0
        self._began = self._epoch_ended = time.time()
        self._steps_per_epoch = math.ceil(len(context.dataset.train) / context.config.batch_size)
        self._first_epoch = context.epochs_before + 1
        self._last_epoch = context.epochs_before + context.settings.epochs
        self._start_bar(context.phase, context.settings.epochs * self._steps_per_epoch)

    def _start_bar(self, title: str, total: int) -> None:
        if not self.terminal.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(_BAR_WIDTH),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=self.terminal,
        )
        self._task = self._bar.add_task(title, total=total, metrics="", title=title)
        self._bar.start()

    def on_step_end(self, epoch: int, step: int, loss: float) -> None:
        """Move the progress bar, and show the loss of the epoch so far."""
        if self._bar is not None:
            title = f"{self._bar.tasks[0].fields['title']} epoch {epoch}"
            completed = (epoch - self._first_epoch) * self._steps_per_epoch + step
            metrics = f"loss {format_metric(loss, '.3f') or '-'}"
            self._bar.update(self._task, completed=completed, metrics=metrics, description=title)

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Print the metrics of the epoch and the time left, and move the progress bar to its end."""
        if self._bar is not None:
            self._bar.update(self._task, completed=(epoch.number - self._first_epoch + 1) * self._steps_per_epoch)
        ended = epoch.timestamp / 1000
        if ended < self._began:  # before the interruption of a run that is resumed
            return
        self._epochs += 1
        seconds, self._epoch_ended = ended - self._epoch_ended, ended
        left = (ended - self._began) / self._epochs * (self._last_epoch - epoch.number)
        self._print(
            f"{self._phase} epoch {epoch.number}/{self._last_epoch}: {_format_metrics(epoch, 'train')}, "
            f"val {_format_metrics(epoch, 'val')}, {format_duration(seconds)}"
            + (f", at most {format_duration(left)} left" if left else "")
        )

    def on_train_end(self, progress: PhaseProgress) -> None:
        """Say that a phase ends before its last epoch."""
        last = progress.epochs[-1].number if progress.epochs else self._last_epoch
        if last < self._last_epoch:
            self._print(f"{self._phase} stops early, after epoch {last} of {self._last_epoch}")

    def on_phase_end(self, phase: str, metrics: dict[str, float]) -> None:
        """Remove the progress bar and print the metrics of the phase."""
        self.close()
        if any(name.startswith("test/") for name in metrics):
            columns = description.TEST_COLUMNS.items()
            defined = {label: metrics[name] for name, label in columns if is_defined(metrics.get(name))}
            values = ", ".join(f"{label} {value:.4g}" for label, value in defined.items())
            self._print(f"{phase} finished; test images: {values}")
        else:  # the phase of a fold
            accuracy = format_metric(metrics["best/val_accuracy"], ".4g") or "-"
            self._print(f"{phase} finished; held-out images: top-1 {accuracy}")

    def on_fold_begin(self, number: int, count: int) -> None:
        """Print which fold begins."""
        self._print(f"Fold {number} of {count}")

    def on_folds_end(self, result: Result) -> None:
        """Print the metrics of every fold and of their ensemble, and where the run is stored."""
        names = [name for name in description.FOLD_COLUMNS if name in result.folds[0].metrics and "auc" not in name]
        labels = [description.FOLD_COLUMNS[name] for name in names]
        metrics = [name.partition("/")[2] for name in names]
        summary = result.summary
        folds = [
            [f"fold {fold.number}", *(format_metric(fold.metrics[name]) for name in names)] for fold in result.folds
        ]
        spread = ["mean ± sd", *(description.format_spread(summary, f"folds/{metric}") for metric in metrics)]
        ensemble = ["ensemble", *(format_metric(summary[f"test/{metric}"]) for metric in metrics)]
        single = ["mean ± sd", *(description.format_spread(summary, f"folds/test_{metric}") for metric in metrics)]
        numbers = number_columns(*labels)
        about_test = "Test images: the ensemble of all folds, and the single folds"
        print_table(self.terminal, (Column("", head=True), *numbers), [*folds, spread], "Held-out images")
        self.terminal.print()
        print_table(self.terminal, (Column("", head=True), *numbers), [ensemble, single], about_test)
        self._print_details(summary)
        self._print_links(result)

    def on_run_end(self, result: Result) -> None:
        """Print the test metrics of every phase, and where the run is stored."""
        rows = []
        for phase, phase_result in result.phases.items():
            metrics = phase_result.metrics
            values = [_format_cell(name, metrics.get(name)) for name in description.TEST_COLUMNS]
            rows.append((phase, str(phase_result.best_epoch), *values))
        columns = ("phase", *number_columns("best epoch", *description.TEST_COLUMNS.values()))
        print_table(self.terminal, columns, rows, "Test images")
        self._print_details(result.metrics)
        self._print_links(result)

    def _print_details(self, metrics: dict[str, float]) -> None:
        """Print the interval of the accuracy, the calibration of the model, and its cost, as far as they are known."""
        interval = format_interval(metrics.get("test/accuracy_low"), metrics.get("test/accuracy_high"))
        if interval and is_defined(metrics.get("test/accuracy")):
            self._print(f"Top-1 {metrics['test/accuracy']:.4f}, 95 % interval {interval}")
        if is_defined(*(metrics.get(name) for name in ("test/ece", "test/ece_scaled", "best/temperature"))):
            scaled = (
                "the validation images determine no temperature"
                if metrics["best/temperature"] == 1
                else f"{metrics['test/ece_scaled']:.4f} at temperature {metrics['best/temperature']:.2f}, which was "
                "fitted on the validation images"
            )
            self._print(f"Calibration error {metrics['test/ece']:.4f}; {scaled}")
        if is_defined(*(metrics.get(f"efficiency/{name}") for name in _COSTS)):
            weights, peak = (metrics[f"efficiency/{name}_bytes"] / 1e6 for name in ("weight", "cpu_memory_peak"))
            self._print(
                f"One image takes {metrics['efficiency/cpu_latency_p50_ms']:.3g} ms on the CPU (median, batch 1) and "
                f"{peak:,.0f} MB of memory; weights {weights:,.3g} MB; efficiency ratio "
                f"{metrics['efficiency/ratio']:.3g} (percent of accuracy per ms, of one quick measurement)"
            )

    def _print_links(self, result: Result) -> None:
        """Print where the run, its model and its page are."""
        store = redact(result.tracking_uri)
        if not result.link:  # the line about unsent entries, which every command prints, says what to do
            self._print_to_copy(f"Run {result.run_id}, not sent to {store} yet")
            return
        self._print_to_copy(f"Run {result.run_id} in {store}")
        self._print_to_copy(f"Model {result.model_uri}")
        start = "" if store.startswith("http") else f"   (start the server: mlflow ui --backend-store-uri {store})"
        self._print_to_copy(f"Page {result.link}{start}")

    def _print(self, text: str) -> None:
        print_text(self.terminal, text)

    def _print_to_copy(self, text: str) -> None:
        print_line(self.terminal, text)

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
