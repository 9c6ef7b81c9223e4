"""The commands: words in, one call, words out.

Nothing heavy is imported before a command needs it: `tinybench --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tinybench.config import KEYS, UNTOUCHED, Key, canonical, resolve, spellings
from tinybench.errors import ConfigError, Interrupted, TinybenchError, TrackingError, in_one_line
from tinybench.report import quiet
from tinybench.settings import size

if TYPE_CHECKING:
    from tinybench.config import RunConfig
    from tinybench.report.console import Console

_DESTINATION = "setting_"


class Setting(click.Option):
    """A setting of a run as an option: help shows its dotted key, and its other spellings are taken too."""

    def __init__(self, key: Key) -> None:
        """Args: the setting."""
        self.key = key
        # The destination is what no other option of a command can be called
        super().__init__([_DESTINATION + key.name.replace(".", "_"), *spellings(key.name)], multiple=True)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """The dotted key, what it means and what it takes."""
        return f"--{self.key.name}", f"{self.key.help} [{self.key.kind.expected}]"


class SettingsCommand(click.Command):
    """A command that takes every setting of a run as an option."""

    def __init__(self, name: str | None, **kwargs: Any) -> None:
        """Args: as for a click command."""
        super().__init__(name, **kwargs | {"options_metavar": "[OPTIONS] [--KEY VALUE]..."})
        self.params += [Setting(key) for key in KEYS.values()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; what it suggests for a misspelt setting is the dotted key alone."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            near = sorted({f"--{_dotted(name.lstrip('-'))}" for name in error.possibilities or ()})
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Hand the settings that were given over as one dictionary."""
        values = {
            param.key.name: ctx.params.pop(str(param.name)) for param in self.params if isinstance(param, Setting)
        }
        ctx.params["settings"] = {key: _one(key, given) for key, given in values.items() if given}
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then the settings."""
        own = [
            record for p in self.get_params(ctx) if not isinstance(p, Setting) and (record := p.get_help_record(ctx))
        ]
        with formatter.section("Options"):
            formatter.write_dl(own)
        origin = "earlier run" if any(param.name == "run_id" for param in self.params) else "recipe"
        with formatter.section(f"Settings (--KEY VALUE; the {origin}'s value holds unless given)"):
            formatter.write_dl([p.get_help_record(ctx) for p in self.params if isinstance(p, Setting)])


def _dotted(option: str) -> str:
    """The dotted key where an option is one, else the option."""
    try:
        return canonical(option)
    except ConfigError:
        return option


def _one(key: str, given: tuple[str, ...]) -> str:
    """The one value of a setting; one that leaves it alone, as MLproject's parameters do, does not count."""
    values = list(dict.fromkeys(value for value in given if value not in UNTOUCHED)) or [UNTOUCHED[0]]
    if len(values) > 1:
        raise ConfigError(f"`{key}` is given twice, as {values[0]!r} and as {values[1]!r}: give it once.")
    return values[0]


@click.group()
@click.version_option(package_name="tinybench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Benchmark CNN backbones: transfer learning, then fine-tuning, every phase an MLflow run."""


@cli.command(cls=SettingsCommand)
@click.option("--dry-run", is_flag=True, help="Print the plan with estimates, and train nothing.")
def train(settings: dict[str, str], dry_run: bool) -> None:
    """Train a model in both phases of a recipe.

    Examples: tinybench train --recipe quickstart; tinybench train --model vgg16 --head.dropout 0.2
    """
    _train(settings, dry_run)


@cli.command(cls=SettingsCommand)
@click.option("--dry-run", is_flag=True, help="Print the plan with estimates, and train nothing.")
def transfer(settings: dict[str, str], dry_run: bool) -> None:
    """Train the head alone, on a frozen backbone."""
    if settings.get("phases", "transfer") not in ("transfer", *UNTOUCHED):
        raise ConfigError("`phases` cannot be given here: this is the transfer phase. Use tinybench train.")
    _train(settings | {"phases": "transfer"}, dry_run)


@cli.command(cls=SettingsCommand)
@click.argument("run_id")
@click.option("--uri", help="Tracking store that holds the run.")
def finetune(run_id: str, uri: str | None, settings: dict[str, str]) -> None:
    """Fine-tune from the best transfer weights of run RUN_ID, as a new run."""
    api = _start()

    api.finetune(run_id, uri=uri, console=_console(), **settings)


@cli.command()
@click.argument("run_id")
@click.option("--uri", help="Tracking store that holds the run.")
def resume(run_id: str, uri: str | None) -> None:
    """Go on with interrupted run RUN_ID from its last finished epoch."""
    api = _start()

    api.resume(run_id, uri=uri, console=_console())


@cli.command(cls=SettingsCommand)
@click.argument("run_id")
@click.option("--split", default="test", show_default=True, help="train, val or test.")
@click.option("--uri", help="Tracking store that holds the run.")
def evaluate(run_id: str, split: str, uri: str | None, settings: dict[str, str]) -> None:
    """Score the model of finished run RUN_ID again, as a run linked to it."""
    api = _start()

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


@cli.group()
def cache() -> None:
    """What is kept to be faster next time: features of frozen backbones, and decoded images."""


@cache.command("list")
def cache_list() -> None:
    """List what is kept, least recently used first."""
    from rich.console import Console as Terminal

    from tinybench import storage
    from tinybench.report import kept

    kept.show(storage.entries(), storage.root(), Terminal())


@cache.command("prune")
@click.option("--to", "most", metavar="SIZE", help="Bytes to keep, as in 5GB.  [default: half of what is free]")
def cache_prune(most: str | None) -> None:
    """Remove what was not used for longest, until the rest takes no more than a size. What a run uses stays."""
    from tinybench import storage
    from tinybench.report import kept

    click.echo(kept.removed(storage.prune(storage.budget(None, storage.KINDS) if most is None else _size(most))))


@cache.command("clear")
def cache_clear() -> None:
    """Remove all that no run uses."""
    from tinybench import storage
    from tinybench.report import kept

    click.echo(kept.removed(storage.prune(0)))


def _size(text: str) -> int:
    """Bytes of a size as a person writes it."""
    kind = size()
    try:
        return int(kind.parse(text))
    except ValueError:
        raise ConfigError(f"Invalid value for `--to`: expected {kind.expected}, got {text!r}.") from None


def main() -> NoReturn:
    """Run the command line: an error is one line with the way out, and an exit code that is not zero."""
    quiet.libraries()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli.main(prog_name="tinybench", standalone_mode=False)
        sys.exit(0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        words = _click_words(error)
        _tell_mlflow(words)
        click.echo(f"Error: {words}", err=True)
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
    words = in_one_line(error)
    _tell_mlflow(words)
    if isinstance(error, TinybenchError):
        _show(f"Error: {words}", error)
        return error.exit_code
    _show(f"Error: {words} (tinybench --debug … shows the traceback)", error)
    return 1


def _click_words(error: click.ClickException) -> str:
    """What click says, with the way out that it would put on lines of its own."""
    message = " ".join(error.format_message().split())
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "tinybench"
    end = "" if message[-1] in ".?" else "."
    return f"{message}{end} ({command} --help lists what there is.)"


def _show(line: str, error: BaseException) -> None:
    click.echo("\n".join([line, *getattr(error, "__notes__", [])]), err=True)


def _tell_mlflow(reason: str) -> None:
    """Give the run that `mlflow run` made the reason, when it failed before it was opened."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        from tinybench.tracking.tracker import Tracker

        with suppress(TrackingError):  # a store that does not answer, or a run of long ago: the error is told here
            Tracker.at(None).fail(run_id, reason)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted("Terminated by SIGTERM.")


def _start() -> ModuleType:
    """The functions behind the commands, with what they compute with: seconds to load, and full of notes."""
    from tinybench.training import allocator

    allocator.keep_freed_memory()
    with quiet.starting():
        from tinybench import api
        from tinybench.training import device

        device.start()
    return api


def _console() -> Console:
    from rich.console import Console as Terminal

    from tinybench.report.console import Console

    return Console(Terminal())


def _train(settings: dict[str, str], dry_run: bool) -> None:
    config = resolve(None, settings)  # first: a mistake is told at once
    api = _start()
    if dry_run:
        _plan(config)
    else:
        api.train(console=_console(), **settings)


def _plan(config: RunConfig) -> None:
    from rich.console import Console as Terminal

    from tinybench.efficiency import estimate
    from tinybench.report import plan

    terminal = Terminal()
    plan.configuration(config, terminal)
    with terminal.status("Timing a few steps on this machine …"):
        found = estimate.estimate(config)
    plan.show(found, terminal)
