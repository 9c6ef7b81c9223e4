"""The command `probe`: which backbone suits a data set, without training."""

from __future__ import annotations

from typing import Any

import click

from tinybench.cli.options import SettingsCommand, offline_option
from tinybench.config.probe_settings import NOT_OF_PROBES
from tinybench.config.run_config import SETTINGS


class ProbeCommand(SettingsCommand):
    """A command with the settings of a run that affect the features of a backbone."""

    settings_left_out = tuple(key for key in SETTINGS if key.startswith(NOT_OF_PROBES))


@click.command(cls=ProbeCommand)
@click.option(
    "--models",
    "--model",
    "models",
    multiple=True,
    required=True,
    help="Name of a model, or a .keras or .h5 file; several separated by commas, or by repeating the option.",
)
@click.option("--no-cost", is_flag=True, help="Do not measure the latency: it takes about 10 s a model.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@offline_option
def probe(models: tuple[str, ...], no_cost: bool, as_json: bool, settings: dict[str, Any]) -> None:
    """Compare backbones on a data set in seconds each, without training.

    A linear head is fitted in closed form to the features of each backbone. The features stay in the cache, where a
    later transfer phase finds them.

    Example: tinybench probe --models mobilenetv2,efficientnetb0 --dataset folder:/path --image_size 96
    """
    from rich.console import Console as Terminal

    from tinybench.commands.probe import probe as probe_models
    from tinybench.display import probe_table

    names = [name.strip() for value in models for name in value.split(",") if name.strip()]
    if no_cost:
        settings = settings | {"track.costs": "off"}
    recipe = settings.pop("recipe", None)
    results = probe_models(names, recipe=recipe, run_callbacks=probe_table.create_progress(), **settings)
    if as_json:
        click.echo(probe_table.results_json(results))
    else:
        probe_table.print_results(results, Terminal())
