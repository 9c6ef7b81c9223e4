"""Run the command line: the group of all commands, and what it does with their errors.

Nothing heavy is imported before a command needs it, so that `tinybench --help` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from contextlib import suppress
from typing import NoReturn

import click

from tinybench.cli.benchmark_commands import benchmark, benchmark_cell, benchmark_estimate
from tinybench.cli.cache_commands import cache
from tinybench.cli.clean_command import clean
from tinybench.cli.compare_commands import compare
from tinybench.cli.copy_command import copy
from tinybench.cli.leaderboard_command import leaderboard
from tinybench.cli.list_commands import datasets, models
from tinybench.cli.measure_commands import measure, pareto
from tinybench.cli.options import near_options, no_such_option
from tinybench.cli.probe_command import probe
from tinybench.cli.recipe_commands import recipes
from tinybench.cli.registry_commands import history, promote, registry, rollback
from tinybench.cli.relocate_command import relocate
from tinybench.cli.result_commands import evaluate, explain, export, predict
from tinybench.cli.run_commands import runs
from tinybench.cli.serve_commands import serve
from tinybench.cli.server_commands import server
from tinybench.cli.sweep_commands import sweep, sweep_worker
from tinybench.cli.tracking_commands import repair, status, sync
from tinybench.cli.train_commands import finetune, resume, train, transfer
from tinybench.core import interruption, quiet_libraries, waiting
from tinybench.core.errors import Interrupted, TinybenchError, TrackingError, format_error
from tinybench.core.suggestion import suggest


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tinybench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Benchmark CNN backbones: transfer learning, then fine-tuning, every phase an MLflow run."""


for _command in (
    *(train, transfer, finetune, resume),
    *(evaluate, export, predict, explain),
    *(models, datasets, recipes, cache, clean),
    *(benchmark, benchmark_cell, benchmark_estimate),
    *(probe, leaderboard, compare, measure, pareto),
    *(sweep, sweep_worker),
    *(runs, status, sync, repair, copy, relocate),
    *(promote, history, rollback, registry, serve),
    server,
):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run a command and exit: an error is one line that says what to do, with an exit code other than 0."""
    quiet_libraries.quieten_libraries()
    interruption.handle_signals()
    atexit.register(gc.freeze)  # else Python looks at every object once more before it ends: half a second
    waiting.tell_on_stderr()
    try:
        _run_command()
    finally:
        _close_journals()


def _run_command() -> NoReturn:
    try:
        code = cli.main(prog_name="tinybench", standalone_mode=False)  # the value of a command is its exit code
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        message = _one_line_usage(error)
        _mark_mlflow_run_failed(message)
        click.echo(f"Error: {message}", err=True)
        sys.exit(error.exit_code)
    except (TinybenchError, click.Abort, Exception) as error:
        sys.exit(_report_error(interruption.find_cause(error)))


def _close_journals() -> None:
    """Send what the command logged, and say what is left."""
    if "tinybench.tracking.journal.journal_writer" not in sys.modules:
        return
    from tinybench.tracking.journal import journal_writer

    with waiting.tell_if_slow("Sending what was logged"):
        lines = journal_writer.close_all()
    for line in lines:
        click.echo(line, err=True)


def _report_error(error: BaseException) -> int:
    """Print an error in one line and return the exit code.

    An error, but not an interruption, is also written to the run that `mlflow run` made.
    """
    if "--debug" in sys.argv:
        raise error
    if isinstance(error, (click.Abort, KeyboardInterrupt)):  # Abort is click's name for Ctrl-C
        cause = error.__cause__ or error
        _print_error(str(cause) or "Interrupted.", cause)
        return 143 if isinstance(cause, Interrupted) else 130
    refusal = _describe_refusal(error)
    message = refusal or format_error(error)
    _mark_mlflow_run_failed(message)
    if refusal:
        _print_error(f"Error: {message}", error)
        return 1
    if isinstance(error, TinybenchError):
        _print_error(f"Error: {message}", error)
        return error.exit_code
    _print_error(f"Error: {message} (tinybench --debug … shows the traceback)", error)
    return 1


def _describe_refusal(error: BaseException) -> str:
    """Return what a tracking server said that refused the login or what it may do; empty for another error."""
    if isinstance(error, TinybenchError) or "tinybench.tracking.store" not in sys.modules:
        return ""
    from tinybench.tracking import store

    return f"The tracking server refuses: {store.describe_error(error)}" if store.is_refused(error) else ""


def _one_line_usage(error: click.ClickException) -> str:
    """Return click's message with a pointer to the command's help, which click would print on lines of its own."""
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        error = no_such_option(error, near_options(error.option_name, error.possibilities))
    message = " ".join(error.format_message().split()) + _suggest_value(error)
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "tinybench"
    end = "" if message[-1] in ".?" else "."
    return f"{message}{end} See {command} --help."


def _suggest_value(error: click.ClickException) -> str:
    """Return which choice of an option was meant by one that does not exist."""
    if not (isinstance(error, click.BadParameter) and error.param and isinstance(error.param.type, click.Choice)):
        return ""
    given = re.match(r"'(.*?)' is not one of", error.message)
    return suggest(given[1], map(str, error.param.type.choices)) if given else ""


def _print_error(line: str, error: BaseException) -> None:
    click.echo("\n".join([line, *getattr(error, "__notes__", [])]), err=True)


def _mark_mlflow_run_failed(reason: str) -> None:
    """Write the reason into the run that `mlflow run` made, in case the command failed before it opened the run.

    Another run that MLFLOW_RUN_ID names stays as it is.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        from tinybench.tracking.tracker import Tracker

        with suppress(TrackingError):  # the store does not answer, or the run is gone: the error is printed anyway
            Tracker.at(None).mark_failed(run_id, reason)
