"""What a person sees, on a terminal and in a pipe."""

from __future__ import annotations

import dataclasses
import io
import re
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console as Terminal

from tinybench import data
from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset
from tinybench.display.console import Console
from tinybench.features.feed_decision import FeedDecision
from tinybench.recipes.resolve import resolve
from tinybench.tracking.results import FoldResult, PhaseResult, Result
from tinybench.training.phase_context import PhaseContext
from tinybench.training.progress import Epoch

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


def console(terminal: bool = False, width: int = 120) -> tuple[Console, Callable[[], str]]:
    written = io.StringIO()
    return Console(Terminal(file=written, force_terminal=terminal, width=width)), written.getvalue


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def epoch(number: int, ended: float | None = None) -> Epoch:
    metrics = {"train/loss": 0.4321, "train/accuracy": 0.8, "val/loss": 0.5, "val/accuracy": 0.75}
    return Epoch(number, metrics, int(1000 * (time.time() + 1 if ended is None else ended)))


def result(uri: str = "sqlite:///mlflow.db", **metrics: float) -> Result:
    figures = {name.replace("_", "/", 1): value for name, value in metrics.items()}
    return Result("abc", uri, "http://page", "models:/m-1", {"transfer": PhaseResult("def", 9, 7, figures)})


def ended(uri: str, width: int = 120, **metrics: float) -> str:
    shown, written = console(width=width)
    shown.on_run_end(result(uri, **metrics))
    return written()


def begin_phase(shown: Console, config: RunConfig, phase: str, images: int, epochs_before: int = 0) -> None:
    dataset = SimpleNamespace(train=range(images))
    shown.on_phase_begin(PhaseContext(config, phase, dataset, None, epochs_before), FeedDecision("live"), None)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return data.load("digits", resolve("quickstart").data, 0, image_size=16)


@pytest.fixture
def bar():
    """A phase of 2 epochs of 4 steps on a terminal, after an earlier phase of 3 epochs."""
    shown, written = console(terminal=True)
    chosen = resolve("quickstart", {"finetune.epochs": 2, "batch_size": 32})
    begin_phase(shown, chosen, "finetune", images=100, epochs_before=3)
    yield shown, written
    shown.close()


def test_the_start_says_what_where_and_how_to_watch(digits):
    shown, written = console()
    shown.on_run_begin(resolve("quickstart"), digits, "cpu", "http://page")
    assert written().splitlines()[:2] == [
        "smallcnn on digits (recipe quickstart) on cpu",
        "1,295 train, 143 validation, 359 test images, 10 classes; run http://page",
    ]


def test_warnings_are_shown_as_they_are(digits):
    shown, written = console()
    warned = dataclasses.replace(digits, warnings=("Odd names: [bold]a[/bold], [/b].",))
    shown.on_run_begin(resolve("quickstart"), warned, "cpu", "http://page")
    assert "Note: Odd names: [bold]a[/bold], [/b]." in written().splitlines()


def test_without_a_terminal_there_is_no_bar():
    shown, written = console()
    begin_phase(shown, resolve("quickstart"), "transfer", images=100)
    shown.on_step_end(1, 1, 0.5)
    shown.close()
    assert written() == ""


def test_every_epoch_has_a_line_with_its_metrics_and_the_time_left():
    shown, written = console()
    began = time.time()
    begin_phase(shown, resolve("quickstart", {"finetune.epochs": 3}), "finetune", images=100, epochs_before=3)
    for number, ended in ((4, began + 2), (5, began + 6), (6, began + 20.5)):
        shown.on_epoch_end(epoch(number, ended))
    start = "finetune epoch {}/6: loss 0.4321 top-1 0.8000, val loss 0.5 top-1 0.7500"
    assert written().splitlines() == [
        f"{start.format(4)}, 2.0 s, at most 4.0 s left",
        f"{start.format(5)}, 4.0 s, at most 3.0 s left",
        f"{start.format(6)}, 14 s",
    ]


def test_epochs_before_an_interruption_are_not_printed_again():
    shown, written = console()
    begin_phase(shown, resolve("quickstart", {"finetune.epochs": 3}), "finetune", images=100)
    shown.on_epoch_end(epoch(1, time.time() - 100))
    shown.on_epoch_end(epoch(2, time.time() + 3))
    (line,) = written().splitlines()
    assert line.startswith("finetune epoch 2/3: ")
    assert line.endswith(", 3.0 s, at most 3.0 s left")


def test_the_last_epoch_is_above_the_bar(bar):
    shown, written = bar
    shown.on_epoch_end(epoch(5))
    shown.on_phase_end("finetune", {"test/accuracy": 0.9, "best/epoch": 5.0})
    assert "finetune epoch 5/5: loss 0.4321 top-1 0.8000, val loss 0.5 top-1 0.7500" in plain(written())


def test_the_bar_spans_all_the_steps_of_a_phase(bar):
    shown, _ = bar
    (task,) = shown._bar.tasks
    assert (task.completed, task.total) == (0, 8)


def test_the_bar_counts_steps_from_the_phase_s_first_epoch(bar):
    shown, _ = bar
    for number, step, done in [(4, 1, 1), (4, 4, 4), (5, 2, 6)]:
        shown.on_step_end(number, step, 0.5)
        assert shown._bar.tasks[0].completed == done


def test_the_end_of_an_epoch_moves_the_bar_also_when_resumed(bar):
    shown, _ = bar
    shown.on_epoch_end(epoch(4))
    assert shown._bar.tasks[0].completed == 4
    shown.on_epoch_end(epoch(5))
    assert shown._bar.finished


def test_the_bar_shows_the_loss_of_its_epoch(bar):
    shown, written = bar
    shown.on_epoch_end(epoch(4))
    shown.on_step_end(5, 1, 0.12345)
    shown.close()
    assert "finetune epoch 5" in plain(written())
    assert re.search(r"loss 0\.123 *$", plain(written()), re.MULTILINE)


def test_all_columns_of_the_bar_fit_into_80_characters():
    shown, written = console(terminal=True, width=80)
    begin_phase(shown, resolve("quickstart", {"finetune.epochs": 200}), "finetune", images=100_000)
    shown.on_step_end(100, 3000, 0.12345)
    shown.close()
    assert re.search(r"finetune epoch 100 .* +3\d\d\d\d\d/\d+ .*loss 0\.123 *$", plain(written()), re.MULTILINE)


def test_the_end_of_a_phase_takes_the_bar_away(bar):
    shown, written = bar
    shown.on_phase_end("finetune", {"test/accuracy": 0.91239, "test/loss": 0.25, "best/epoch": 5.0})
    assert plain(written()).splitlines()[-1] == "finetune finished; test images: top-1 0.9124, loss 0.25"
    assert shown._bar is None


def test_closing_gives_the_cursor_back_and_may_come_twice(bar):
    shown, written = bar
    assert written().rfind(HIDE_CURSOR) > written().rfind(SHOW_CURSOR)
    shown.close()
    shown.close()
    assert written().rfind(SHOW_CURSOR) > written().rfind(HIDE_CURSOR)


def test_the_closing_table_holds_the_figures():
    text = ended("sqlite:///mlflow.db", test_accuracy=0.91239, test_loss=0.25)
    titles, rule, row = text.splitlines()[1:4]
    assert titles.split() == ["phase", "best", "epoch", "top-1", "top-5", "F1", "AUC", "loss", "training", "s"]
    assert set(rule) == {"─"}
    assert row.split() == ["transfer", "7", "0.9124", "0.25"]
    assert [row[: titles.index(title) + len(title)].split()[-1] for title in ("epoch", "top-1", "loss")] == [
        "7",
        "0.9124",
        "0.25",
    ]


def test_the_closing_lines_lead_to_the_run():
    assert ended("sqlite:///mlflow.db").splitlines()[-3:] == [
        "Run abc in sqlite:///mlflow.db",
        "Model models:/m-1",
        "Page http://page   (start the server: mlflow ui --backend-store-uri sqlite:///mlflow.db)",
    ]


def test_a_server_needs_no_start_and_keeps_its_password():
    assert ended("http://me:hush@host").splitlines()[-3:] == [
        "Run abc in http://me:***@host",
        "Model models:/m-1",
        "Page http://page",
    ]


@given(st.text("abc/", min_size=50, max_size=150))
def test_lines_to_copy_are_never_cut(path):
    assert f"Run abc in sqlite:///{path}" in ended(f"sqlite:///{path}", width=40).splitlines()


@pytest.mark.parametrize("folder", ["[old]", "[/old]"])
def test_a_folder_in_brackets_is_shown(folder):
    assert f"Run abc in sqlite:////{folder}/mlflow.db" in ended(f"sqlite:////{folder}/mlflow.db").splitlines()


def test_a_data_folder_in_brackets_is_shown(digits):
    shown, written = console()
    shown.on_run_begin(resolve("quickstart", {"dataset": "folder:/x/[old]"}), digits, "cpu", "http://page")
    assert written().startswith("smallcnn on [old] ")


def test_nowhere_is_silent(capsys, digits):
    shown = Console()
    chosen = resolve("quickstart")
    shown.on_run_begin(chosen, digits, "cpu", "http://page")
    begin_phase(shown, chosen, "transfer", images=100)
    shown.on_step_end(1, 1, 0.5)
    shown.on_epoch_end(epoch(1))
    shown.on_phase_end("transfer", {"test/loss": 0.25})
    shown.on_run_end(result())
    assert capsys.readouterr() == ("", "")


def test_the_run_goes_on_when_its_reader_leaves():
    code = """
import sys, time
from tinybench.display.console import Console, PipeSafeTerminal
console = Console(PipeSafeTerminal())
for number in range(1, 4):
    console.on_fold_begin(number, 3)
    sys.stderr.write(f"{number} ")
    sys.stderr.flush()
    sys.stdin.readline()  # go on when told to
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "Fold 1 of 3\n"
        writer.stdout.close()
        _, said = writer.communicate("\n\n\n")
    assert (writer.returncode, said.split()) == (0, ["1", "2", "3"])


def test_folds_end_with_every_figure_of_the_test_images():
    names = ("accuracy", "top5", "f1_macro", "log_loss")
    folds = tuple(FoldResult(number, "r", {f"out_of_fold/{name}": 0.5 for name in names}) for number in (1, 2))
    summary = {f"test/{name}": 0.25 for name in names}
    for name in names:
        summary |= {f"folds/{part}{name}_{end}": 0.125 for part in ("", "test_") for end in ("mean", "sd")}
    shown, written = console(width=90)
    shown.on_folds_end(Result("abc", "sqlite:///mlflow.db", "http://page", "models:/m-1", folds=folds, summary=summary))
    lines = [" ".join(line.split()) for line in written().splitlines()]
    assert "ensemble 0.2500 0.2500 0.2500 0.2500" in lines
    assert lines.count("mean ± sd" + 4 * " 0.1250 ± 0.1250") == 2
    assert "…" not in written()


def test_a_run_ends_with_how_sure_it_is():
    shown, written = console()
    figures = {"test/accuracy": 0.5, "test/accuracy_low": 0.4, "test/accuracy_high": 0.625}
    figures |= {"test/ece": 0.1, "test/ece_scaled": 0.025, "best/temperature": 1.5}
    shown.on_run_end(
        Result("abc", "sqlite:///m.db", "http://page", "models:/m-1", {"scratch": PhaseResult("d", 1, 1, figures)})
    )
    assert "Top-1 0.5000, 95 % interval [0.4000, 0.6250]" in written()
    assert (
        "Calibration error 0.1000; 0.0250 at temperature 1.50, which was fitted on the validation images" in written()
    )
