"""The commands about registered models: `promote`, `history`, `rollback`, `registry list` and `registry show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinybench.config.run_config import UNTOUCHED
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError

if TYPE_CHECKING:
    from tinybench.tracking.tracker import Tracker

_uri = click.option("--uri", help="Tracking store that holds the runs and models.")
_name = click.argument("name", required=False)


@click.command()
@click.argument("run_id", required=False)
@click.option("--model", help="Only runs of this model.")
@click.option("--dataset", help="Only runs on this data set.")
@click.option("--recipe", help="Only runs of this recipe.")
@click.option("--filter", "search", help="Only runs that MLflow's filter finds, as in \"tags.team = 'x'\".")
@click.option("--metric", default="accuracy", show_default=True, help="Of the validation images: accuracy, top5, loss.")
@click.option("--name", help="Registered model.  [default: tinybench-<dataset>]")
@click.option("--gates", type=click.Path(path_type=Path), help="Limits.  [default: gates.toml here, or the usual ones]")
@click.option("--dry-run", "dry", is_flag=True, help="Only show the decision table.")
@_uri
def promote(run_id: str | None, gates: Path | None, dry: bool, uri: str | None, **given: Any) -> int:
    """Judge the best finished run, or RUN_ID, beside the champion; make it champion if every gate holds.

    The run is chosen by validation images and judged by test images. Refused, it becomes challenger and the exit code
    is 1.

    Example: tinybench promote --dataset digits --dry-run
    """
    from rich.console import Console as Terminal

    from tinybench.registry import policy

    left = {key: None if value in UNTOUCHED else value for key, value in given.items()}
    limits = policy.read(None if str(gates) in UNTOUCHED else gates)
    if run_id not in (None, *UNTOUCHED) and (left["model"] or left["dataset"] or left["recipe"] or left["search"]):
        raise ConfigError("A run that is given is not chosen: leave out the filters, or RUN_ID.")
    with quiet_libraries.starting():
        from tinybench.cli import registry_table as report
        from tinybench.hardware import device
        from tinybench.registry import candidates, promotion

        tracker = _tracker(uri)
        device.start()
    wanted = candidates.CandidateQuery(
        None if run_id in UNTOUCHED else run_id,
        left["metric"] or "accuracy",
        left["model"],
        left["dataset"],
        left["recipe"],
        left["search"] or "",
    )
    with Terminal(stderr=True).status("Looking for the candidate …") as status:
        done = promotion.promote(tracker, wanted, limits, name=left["name"], dry_run=dry, callbacks=status.update)
    report.print_promotion(done, Terminal())
    return 0 if done.promoted else 1


@click.command()
@_name
@_uri
def history(name: str | None, uri: str | None) -> None:
    """Every decision about the registered model NAME: who, when, from which version to which, and why."""
    from rich.console import Console as Terminal

    with quiet_libraries.starting():
        from tinybench.cli import registry_table as report
        from tinybench.registry import promotion
        from tinybench.tracking.model_versions import RegisteredModel

        tracker = _tracker(uri)
    found = RegisteredModel(tracker.client, promotion.resolve_name(tracker, name))
    report.print_history(found, promotion.decisions(found), Terminal())


@click.command()
@_name
@click.option("--to", type=click.IntRange(1), help="Version.  [default: the champion before]")
@_uri
def rollback(name: str | None, to: int | None, uri: str | None) -> None:
    """Let the champion of NAME be what it was before, or the version given by --to."""
    with quiet_libraries.starting():
        from tinybench.registry import promotion

        tracker = _tracker(uri)
    done = promotion.rollback(tracker, promotion.resolve_name(tracker, name), to)
    instead = "" if done.previous is None else f", instead of version {done.previous}"
    click.echo(f"Version {done.version} is champion of {done.name} again{instead}.")


@click.group()
def registry() -> None:
    """Look at registered models."""


@registry.command("list")
@_uri
def list_(uri: str | None) -> None:
    """List the registered models, with champion and challenger."""
    from rich.console import Console as Terminal

    with quiet_libraries.starting():
        from tinybench.cli import registry_table as report
        from tinybench.tracking import model_versions

        tracker = _tracker(uri)
    known = [model_versions.RegisteredModel(tracker.client, name) for name in model_versions.list_names(tracker.client)]
    report.print_registered_models(known, Terminal())


@registry.command()
@_name
@click.option("--version", type=click.IntRange(1), help="[default: the champion]")
@_uri
def show(name: str | None, version: int | None, uri: str | None) -> None:
    """Show the card of a version of NAME, and what was decided about it."""
    from rich.console import Console as Terminal

    with quiet_libraries.starting():
        from tinybench.cli import registry_table as report
        from tinybench.registry import promotion
        from tinybench.tracking.model_versions import RegisteredModel

        tracker = _tracker(uri)
    found = RegisteredModel(tracker.client, promotion.resolve_name(tracker, name))
    report.print_model_version(found, version, promotion.decisions(found), Terminal())


def _tracker(uri: str | None) -> Tracker:
    from tinybench.tracking.tracker import Tracker

    return Tracker.at(uri)
