"""The commands that train: `train`, `transfer`, `finetune` and `resume`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinybench.cli.option_values import none_if_unset
from tinybench.cli.options import SettingsCommand, default_storage, offline_option, uri_option
from tinybench.cli.startup import load_libraries
from tinybench.config.run_config import UNSET_VALUES
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.display.console import Console

_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print the settings and an estimate of time, memory and disk; train nothing."
)


@click.command(cls=SettingsCommand)
@_dry_run_option
@click.option(
    "--from",
    "source",
    metavar="STUDY|FILE",
    help="Train with the best settings of a study, or with those of a TOML file such as its best.toml.",
)
@offline_option
def train(settings: dict[str, Any], dry_run: bool, source: str | None) -> None:
    """Train a model in the phases of a recipe.

    Examples: tinybench train --recipe quickstart; tinybench train --model vgg16 --head.dropout 0.2
    """
    config = _prepare(settings if source is None else _read_source(source, settings.get("track.uri")) | settings)
    if dry_run:
        _print_plan(config)
    else:
        from tinybench import api

        api.train(config, run_callbacks=_create_console())


@click.command(cls=SettingsCommand)
@_dry_run_option
@offline_option
def transfer(settings: dict[str, Any], dry_run: bool) -> None:
    """Train only the head, on a frozen backbone."""
    if settings.get("phases", "transfer") not in ("transfer", *UNSET_VALUES):
        raise ConfigError("`phases` cannot be given here: this is the transfer phase. Use tinybench train.")
    config = _prepare(settings | {"phases": "transfer"})
    if dry_run:
        _print_plan(config)
    else:
        from tinybench import api

        api.train(config, run_callbacks=_create_console())


@click.command(cls=SettingsCommand)
@click.argument("run_id")
@uri_option
@offline_option
def finetune(run_id: str, uri: str | None, settings: dict[str, Any]) -> None:
    """Fine-tune run RUN_ID from its best weights, as a new run."""
    load_libraries()

    from tinybench import api

    api.finetune(run_id, uri=uri, run_callbacks=_create_console(), **settings)


@click.command()
@click.argument("run_id")
@uri_option
@offline_option
def resume(run_id: str, uri: str | None) -> None:
    """Resume interrupted run RUN_ID from its last finished epoch."""
    load_libraries()

    from tinybench import api

    api.resume(run_id, uri=uri, run_callbacks=_create_console())


def _read_source(source: str, uri: str | None) -> dict[str, Any]:
    """Return the settings of a TOML file, or of the best trial of a study."""
    from tinybench.config import settings_file

    file = Path(source)
    if file.is_file() or file.suffix == ".toml" or len(file.parts) > 1:
        return settings_file.read(file)
    with quiet_libraries.filter_startup_noise():
        from tinybench.commands import study_settings

    return study_settings.read_best_settings(source, storage=default_storage(), uri=none_if_unset(uri))


def _prepare(settings: dict[str, Any]) -> RunConfig:
    """Resolve the settings, then load the libraries, so that a mistake is reported before seconds have passed."""
    from tinybench.hardware import onednn

    config = resolve(None, settings)
    onednn.allow_onednn(config.deterministic)
    load_libraries()
    return config


def _print_plan(config: RunConfig) -> None:
    from rich.console import Console as Terminal

    from tinybench.commands import estimate, store_check
    from tinybench.display import plain_lines, plan_table

    terminal = Terminal()
    with terminal.status("Timing a few steps on this machine …"):
        note = store_check.check_store(config.track)  # both before the tables, so that an error stands alone
        run_estimate = estimate.estimate_run(config)
    plan_table.print_settings_table(config, terminal)
    plan_table.print_plan_table(run_estimate, terminal)
    if note:
        plain_lines.print_note(terminal, note)


def _create_console() -> Console:
    from tinybench.display.console import Console, PipeSafeTerminal

    return Console(PipeSafeTerminal())
