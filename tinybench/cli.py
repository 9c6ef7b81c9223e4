"""The commands: words in, one call, words out.

Nothing heavy is imported before a command needs it: `tinybench --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tinybench.config import KEYS, UNTOUCHED
from tinybench.errors import ConfigError, Interrupted, TinybenchError

if TYPE_CHECKING:
    from tinybench.report.console import Console

_ANY_SETTING = {"ignore_unknown_options": True, "allow_extra_args": True}


class SettingsCommand(click.Command):
    """A command that takes every setting of a run as an option, under its dotted key."""

    def __init__(self, name: str | None, **kwargs: Any) -> None:
        """Args: as for a click command."""
        kwargs |= {"context_settings": _ANY_SETTING, "options_metavar": "[OPTIONS] [--KEY VALUE]..."}
        super().__init__(name, **kwargs)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then the settings."""
        super().format_options(ctx, formatter)
        with formatter.section("Settings (--KEY VALUE; the recipe's value holds unless given)"):
            formatter.write_dl([(f"--{key.name}", key.help) for key in KEYS.values()])


@click.group()
@click.version_option(package_name="tinybench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Benchmark CNN backbones: transfer learning, then fine-tuning, every phase an MLflow run."""


@cli.command(cls=SettingsCommand)
@click.option("--dry-run", is_flag=True, help="Print the plan with estimates, and train nothing.")
@click.pass_context
def train(ctx: click.Context, dry_run: bool) -> None:
    """Train a model in both phases of a recipe.

    Examples: tinybench train --recipe quickstart; tinybench train --model vgg16 --head.dropout 0.2
    """
    _train(settings_of(ctx.args), dry_run)


@cli.command(cls=SettingsCommand)
@click.option("--dry-run", is_flag=True, help="Print the plan with estimates, and train nothing.")
@click.pass_context
def transfer(ctx: click.Context, dry_run: bool) -> None:
    """Train the head alone, on a frozen backbone."""
    _train(settings_of([*ctx.args, "--phases", "transfer"]), dry_run)


@cli.command(cls=SettingsCommand)
@click.argument("run_id")
@click.option("--uri", help="Tracking store that holds the run.")
@click.pass_context
def finetune(ctx: click.Context, run_id: str, uri: str | None) -> None:
    """Fine-tune from the best transfer weights of run RUN_ID, as a new run."""
    settings = settings_of(ctx.args)
    from tinybench import api

    api.finetune(run_id, uri=uri, console=_console(), **settings)


@cli.command()
@click.argument("run_id")
@click.option("--uri", help="Tracking store that holds the run.")
def resume(run_id: str, uri: str | None) -> None:
    """Go on with interrupted run RUN_ID from its last finished epoch."""
    from tinybench import api

    api.resume(run_id, uri=uri, console=_console())


@cli.command(cls=SettingsCommand)
@click.argument("run_id")
@click.option("--split", default="test", show_default=True, help="train, validation or test.")
@click.option("--uri", help="Tracking store that holds the run.")
@click.pass_context
def evaluate(ctx: click.Context, run_id: str, split: str, uri: str | None) -> None:
    """Score the model of finished run RUN_ID again, as a run linked to it."""
    settings = settings_of(ctx.args)
    from tinybench import api

    for name, value in api.evaluate(run_id, split="test" if split in UNTOUCHED else split, uri=uri, **settings).items():
        click.echo(f"{name:24} {value:.4f}")


@cli.command()
def models() -> None:
    """List the backbones; a path to a .keras file is one as well."""
    from tinybench.models import backbones

    click.echo("\n".join(backbones.names()))


@cli.command()
def datasets() -> None:
    """List the data sets; folder:/path is one as well."""
    from tinybench import data

    for name in data.names():
        click.echo(f"{name:16} {data.card(name).summary}")


def settings_of(words: list[str]) -> dict[str, str]:
    """Settings from `--key value` and `--key=value`.

    Raises:
        ConfigError: a word that is no option, or an option without a value.
    """
    settings: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        key, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not key:
            raise ConfigError(f"Unexpected {word!r}: settings are given as --key value.")
        if not equals:
            value = next(rest, "--")
            if value.startswith("--"):
                raise ConfigError(f"Missing a value for `{key}`: give --{key} VALUE.")
        if settings.get(key, value) != value:
            raise ConfigError(f"`{key}` is given twice, as {settings[key]!r} and as {value!r}: give it once.")
        settings[key] = value
    return settings


def main() -> NoReturn:
    """Run the command line: an error is one line with the way out, and an exit code that is not zero."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up notes drown ours
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli.main(standalone_mode=False)
        sys.exit(0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _tell_mlflow(error)
        error.show()
        sys.exit(error.exit_code)
    except (TinybenchError, click.Abort, Exception) as error:
        sys.exit(_explain(error))


def _explain(error: BaseException) -> int:
    """Print an error as a person wants it; returns the exit code."""
    if "--debug" in sys.argv:
        raise error
    if isinstance(error, click.Abort):  # click's name for Ctrl-C
        cause = error.__cause__ or error
        terminated = isinstance(cause, Interrupted)
        _show(str(cause) or "Interrupted.", cause)
        return 143 if terminated else 130
    _tell_mlflow(error)
    if isinstance(error, TinybenchError):
        _show(f"Error: {error}", error)
        return error.exit_code
    first_line = (str(error).strip().splitlines() or [""])[0]
    _show(f"Error: {type(error).__name__}: {first_line} (tinybench --debug … shows the traceback)", error)
    return 1


def _show(line: str, error: BaseException) -> None:
    click.echo("\n".join([line, *getattr(error, "__notes__", [])]), err=True)


def _tell_mlflow(error: BaseException) -> None:
    """Give the run that `mlflow run` made the reason, when it failed before it was opened."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        from tinybench.tracking.tracker import Tracker

        Tracker.at(None).fail(run_id, getattr(error, "message", None) or str(error))


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted("Terminated by SIGTERM.")


def _console() -> Console:
    from rich.console import Console as Terminal

    from tinybench.report.console import Console

    return Console(Terminal())


def _train(settings: dict[str, str], dry_run: bool) -> None:
    if dry_run:
        _plan(settings)
    else:
        from tinybench import api

        api.train(console=_console(), **settings)


def _plan(settings: dict[str, str]) -> None:
    from tinybench.config import resolve

    config = resolve(None, settings)
    from tinybench.efficiency import estimate
    from tinybench.report import plan

    plan.show(config, estimate.estimate(config))
