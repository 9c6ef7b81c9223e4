"""The commands of registered models: `promote`, `history`, `rollback`, `registry list` and `registry show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinybench.cli.option_values import none_if_unset
from tinybench.cli.options import uri_option
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError

if TYPE_CHECKING:
    from tinybench.tracking.tracker import Tracker

_name_argument = click.argument("name", required=False)


@click.command()
@click.argument("run_id", required=False)
@click.option("--model", help="Consider only runs of this model.")
@click.option("--dataset", help="Consider only runs on this data set.")
@click.option("--recipe", help="Consider only runs of this recipe.")
@click.option("--filter", "search", help="Consider only runs that match a filter of MLflow, as \"tags.team = 'x'\".")
@click.option(
    "--metric",
    default="accuracy",
    show_default=True,
    help="Metric of the validation images that selects the run: accuracy, top5 or loss.",
)
@click.option("--name", help="Registered model.  [default: tinybench-<dataset>]")
@click.option(
    "--gates",
    type=click.Path(path_type=Path),
    help="TOML file with the limits of the gates.  [default: gates.toml in this folder, else built-in limits]",
)
@click.option("--dry-run", is_flag=True, help="Print the decision; register and move nothing.")
@uri_option
def promote(run_id: str | None, gates: Path | None, dry_run: bool, uri: str | None, **options: Any) -> int:
    """Promote the best run to champion if it passes every gate.

    The run is RUN_ID, or the finished run with the best metric on the validation images; it is compared with the
    champion on the test images. If it is refused, it becomes challenger, and the exit code is 1.

    Example: tinybench promote --dataset digits --dry-run
    """
    from rich.console import Console as Terminal

    from tinybench.registry import policy

    run_id = none_if_unset(run_id)
    metric, name, search, model, dataset, recipe = (
        none_if_unset(options[key]) for key in ("metric", "name", "search", "model", "dataset", "recipe")
    )
    limits = policy.read(None if gates is None or none_if_unset(str(gates)) is None else gates)
    if run_id is not None and (model or dataset or recipe or search):
        raise ConfigError("RUN_ID names the run: leave out --model, --dataset, --recipe and --filter, or RUN_ID.")
    with quiet_libraries.filter_startup_noise():
        from tinybench.display import registry_table
        from tinybench.display.command_callbacks import StatusCallbacks
        from tinybench.hardware import device
        from tinybench.registry import candidates, promotion

        tracker = _connect(uri)
        device.detect_devices()
    query = candidates.CandidateQuery(run_id, metric or "accuracy", model, dataset, recipe, search or "")
    with Terminal(stderr=True).status("Looking for the candidate …") as status:
        result = promotion.promote(
            tracker, query, limits, name=name, dry_run=dry_run, callbacks=StatusCallbacks(status)
        )
    registry_table.print_promotion(result, Terminal())
    return 0 if result.promoted else 1


@click.command()
@_name_argument
@uri_option
def history(name: str | None, uri: str | None) -> None:
    """Print every decision about the registered model NAME.

    It shows when and by whom each was made, from which version to which, and why.
    """
    from rich.console import Console as Terminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.display import registry_table
        from tinybench.registry import promotion
        from tinybench.tracking.model_versions import RegisteredModel

        tracker = _connect(uri)
    model = RegisteredModel(tracker.client, promotion.resolve_name(tracker, name))
    registry_table.print_history(model, promotion.decisions(model), Terminal())


@click.command()
@_name_argument
@click.option(
    "--to", "version", type=click.IntRange(1), help="Version to make champion.  [default: the champion before]"
)
@uri_option
def rollback(name: str | None, version: int | None, uri: str | None) -> None:
    """Make the previous champion of NAME champion again."""
    with quiet_libraries.filter_startup_noise():
        from tinybench.registry import promotion

        tracker = _connect(uri)
    decision = promotion.rollback(tracker, promotion.resolve_name(tracker, name), version)
    instead = "" if decision.previous is None else f", instead of version {decision.previous}"
    click.echo(f"Version {decision.version} is champion of {decision.name} again{instead}.")


@click.group()
def registry() -> None:
    """Show the registered models."""


@registry.command("list")
@uri_option
def registry_list(uri: str | None) -> None:
    """List the registered models with their champion and challenger."""
    from rich.console import Console as Terminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.display import registry_table
        from tinybench.tracking import model_versions

        tracker = _connect(uri)
    names = model_versions.list_names(tracker.client)
    models = [model_versions.RegisteredModel(tracker.client, name) for name in names]
    registry_table.print_registered_models(models, Terminal())


@registry.command("show")
@_name_argument
@click.option("--version", type=click.IntRange(1), help="Version to show.  [default: the champion]")
@uri_option
def registry_show(name: str | None, version: int | None, uri: str | None) -> None:
    """Show a version of NAME: its model card and its decisions."""
    from rich.console import Console as Terminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.display import registry_table
        from tinybench.registry import promotion
        from tinybench.tracking.model_versions import RegisteredModel

        tracker = _connect(uri)
    model = RegisteredModel(tracker.client, promotion.resolve_name(tracker, name))
    registry_table.print_model_version(model, version, promotion.decisions(model), Terminal())


def _connect(uri: str | None) -> Tracker:
    from tinybench.tracking.tracker import Tracker

    return Tracker.at(uri)
