"""The commands: words in, one call, words out.

Nothing heavy is imported before a command needs it: `tinybench --help` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tinybench.cli.cache_commands import cache
from tinybench.cli.compare_commands import compare
from tinybench.cli.measure_commands import measure, pareto
from tinybench.cli.options import SettingsCommand
from tinybench.cli.recipe_commands import recipes
from tinybench.cli.registry_commands import history, promote, registry, rollback
from tinybench.cli.serve_commands import serve
from tinybench.cli.sweep_commands import sweep, sweep_worker
from tinybench.config.run_config import UNTOUCHED
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError, Interrupted, TinybenchError, TrackingError, in_one_line
from tinybench.recipes.resolve import resolve

if TYPE_CHECKING:
    from tinybench.cli.console import Console
    from tinybench.config.run_config import RunConfig


@click.group()
@click.version_option(package_name="tinybench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Benchmark CNN backbones: transfer learning, then fine-tuning, every phase an MLflow run."""


@cli.command(cls=SettingsCommand)
@click.option("--dry-run", is_flag=True, help="Print the plan with estimates, and train nothing.")
@click.option("--from", "file", type=click.Path(path_type=Path), help="TOML file of settings, as a sweep's best.toml.")
def train(settings: dict[str, str], dry_run: bool, file: Path | None) -> None:
    """Train a model in the phases of a recipe.

    Examples: tinybench train --recipe quickstart; tinybench train --model vgg16 --head.dropout 0.2
    """
    from tinybench.config import settings_file

    _train(settings if file is None else settings_file.read(file) | settings, dry_run)


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
    """Fine-tune from the best weights of run RUN_ID, as a new run."""
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

    from tinybench.cli import metric_lines

    found = api.evaluate(run_id, split="test" if split in UNTOUCHED else split, uri=uri, **settings)
    click.echo(metric_lines.format_metrics(found))


@cli.command()
@click.argument("run_id")
@click.option(
    "--format",
    type=click.Choice(["keras", "h5", "savedmodel", "onnx", "openvino"]),
    default="keras",
    show_default=True,
    help="onnx and openvino are extras.",
)
@click.option("--output", type=click.Path(path_type=Path), help="File or folder to write.  [default: model.…]")
@click.option("--uri", help="Tracking store that holds the run.")
def export(run_id: str, format: str, output: Path | None, uri: str | None) -> None:
    """Export the model of finished run RUN_ID; it is loaded again and compared on real images."""
    _start()

    from tinybench.commands import export

    done = export.export(run_id, format, output, uri)
    click.echo(
        f"{done.path}: {done.images} test images answered alike "
        f"(probabilities differ by at most {done.difference:.2g}, same class for {done.agreement:.0%})"
    )
    if done.own_layers:
        click.echo(f"To load it in Keras, import tinybench.models.layers first: it has {', '.join(done.own_layers)}.")


@cli.command()
@click.argument("source", metavar="RUN_OR_MODEL")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Classes a picture.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@click.option("--maps", type=click.Path(path_type=Path, file_okay=False), help="Folder to draw maps of the reasons in.")
@click.option("--uri", help="Tracking store that holds the run.")
def predict(
    source: str, pictures: tuple[Path, ...], top: int, as_json: bool, maps: Path | None, uri: str | None
) -> None:
    """Say what PICTURES, files or folders of them, are taken for by a run's model, or by models:/NAME@ALIAS."""
    _start()

    from tinybench.cli import prediction_lines
    from tinybench.commands import explain as explaining
    from tinybench.commands import predict as classifier

    model = classifier.load(source, uri)
    left_out = classifier.left_out(pictures)
    if left_out:
        click.echo(f"Note: {left_out}", err=True)
    read: list[Path] = []
    broken = False
    for found in classifier.predict(model, classifier.found(pictures), top):
        broken |= bool(found.error)
        if found.error and not as_json:
            click.echo(f"Error: {found.error}", err=True)
        else:
            read += [] if found.error else [found.path]
            click.echo(prediction_lines.prediction_json(found) if as_json else prediction_lines.format_prediction(found))
    if maps is not None and read:
        for file in explaining.explain(source, read, maps, uri=uri).files:
            click.echo(f"wrote {file}", err=as_json)
    if broken:
        raise click.exceptions.Exit(1)


@cli.command()
@click.argument("run_id", metavar="RUN_OR_MODEL")
@click.option(
    "--images",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Picture or folder; again for more.  [default: test images]",
)
@click.option("--layer", help="Layer of the backbone for Grad-CAM.  [default: the last one with a map]")
@click.option("--label", help="Class to explain.  [default: what each picture is taken for]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="explanations",
    show_default=True,
    help="Folder.",
)
@click.option("--uri", help="Tracking store that holds the run.")
def explain(
    run_id: str, images: tuple[Path, ...], layer: str | None, label: str | None, output: Path, uri: str | None
) -> None:
    """Draw why a run's model takes pictures for what it does, and judge the maps."""
    _start()

    from rich.console import Console as Terminal

    from tinybench.cli import prediction_lines
    from tinybench.commands import explain as explaining

    done = explaining.explain(run_id, images, output, layer=layer, label=label, uri=uri)
    prediction_lines.faithfulness(done, Terminal())


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


cli.add_command(compare)
cli.add_command(measure)
cli.add_command(pareto)
cli.add_command(sweep)
cli.add_command(sweep_worker)
cli.add_command(promote)
cli.add_command(history)
cli.add_command(rollback)
cli.add_command(registry)
cli.add_command(serve)
cli.add_command(recipes)
cli.add_command(cache)


def main() -> NoReturn:
    """Run the command line: an error is one line with the way out, and an exit code that is not zero."""
    quiet_libraries.libraries()
    signal.signal(signal.SIGTERM, _terminate)
    atexit.register(gc.freeze)  # else Python looks at every object once more before it ends: half a second
    try:
        code = cli.main(prog_name="tinybench", standalone_mode=False)  # of a command that ends by Exit, its code
        sys.exit(code if isinstance(code, int) else 0)
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
            Tracker.at(None).mark_failed(run_id, reason)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted("Terminated by SIGTERM.")


def _start() -> ModuleType:
    """The functions behind the commands, with what they compute with: seconds to load, and full of notes."""
    from tinybench.hardware import allocator

    allocator.keep_freed_memory()
    with quiet_libraries.starting():
        from tinybench import api
        from tinybench.hardware import device

        device.start()
    return api


def _console() -> Console:
    from tinybench.cli.console import Console, PipeSafeTerminal

    return Console(PipeSafeTerminal())


def _train(settings: dict[str, Any], dry_run: bool) -> None:
    from tinybench.hardware import onednn

    config = resolve(None, settings)  # first: a mistake is told at once
    onednn.allow(config.deterministic)
    api = _start()
    if dry_run:
        _plan(config)
    else:
        api.train(console=_console(), **settings)


def _plan(config: RunConfig) -> None:
    from rich.console import Console as Terminal

    from tinybench.cli import plan_table
    from tinybench.efficiency import estimate

    terminal = Terminal()
    plan_table.print_settings_table(config, terminal)
    with terminal.status("Timing a few steps on this machine …"):
        found = estimate.estimate(config)
    plan_table.print_plan_table(found, terminal)
