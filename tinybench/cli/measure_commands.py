"""The commands about cost: `measure` models without training them, `pareto` of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError
from tinybench.efficiency.spec import DEVICES, ENGINES, PRECISIONS

if TYPE_CHECKING:
    from tinybench.efficiency.measurement import Measurement

_AT_LEAST_ONE = click.IntRange(1)


@click.command()
@click.option("--model", "models", multiple=True, required=True, help="Name or .keras file; again for more, or a,b,c.")
@click.option("--device", type=click.Choice([*DEVICES, "all"]), default="cpu", show_default=True)
@click.option("--gpu", "index", type=click.IntRange(0), default=0, show_default=True, help="Number of the GPU.")
@click.option(
    "--engine", type=click.Choice(ENGINES), default="keras", show_default=True, help="The last two are extras."
)
@click.option("--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True)
@click.option("--batch", type=_AT_LEAST_ONE, help="Of the throughput.  [default: the fastest of 1, 2, 4, …]")
@click.option("--threads", type=_AT_LEAST_ONE, help="Of the processor.  [default: all]")
@click.option("--image_size", "--image-size", type=_AT_LEAST_ONE, help="[default: that of the model's recipe]")
@click.option("--classes", type=_AT_LEAST_ONE, help="[default: those of the recipe's data]")
@click.option("--rounds", type=_AT_LEAST_ONE, help="Processes a model, in turn.  [default: 2; with --quick 1]")
@click.option("--quick", is_flag=True, help="Fewer calls: some 10 s a model.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@click.option("--uri", help="Tracking store to log to.")
@click.option("--experiment", help="Experiment to log to.")
def measure(
    models: tuple[str, ...],
    device: str,
    image_size: int | None,
    classes: int | None,
    threads: int | None,
    rounds: int | None,
    as_json: bool,
    uri: str | None,
    experiment: str | None,
    **given: Any,
) -> None:
    """Measure latency, throughput, memory and size of models with random weights, each in a process of its own.

    Example: tinybench measure --model resnet50,vgg16 --quick
    """
    from rich.console import Console as Terminal

    from tinybench.cli import cost_table as report
    from tinybench.config.sections import TrackConfig
    from tinybench.job import run_costs

    names = [name for words in models for name in words.split(",") if name]
    devices = DEVICES if device == "all" else (device,)
    wanted = run_costs.specs(names, devices, image_size=image_size, classes=classes, threads=threads, **given)
    track = TrackConfig(uri=uri, experiment=experiment)
    found = run_costs.measure(wanted, rounds or (1 if given["quick"] else 2), track, on_round=_show)
    if as_json:
        click.echo(report.costs_json(found))
    else:
        report.print_cost_tables(found, Terminal())


def _show(found: Measurement) -> None:
    p50 = found.figures["latency_p50_ms"]
    click.echo(f"{found.spec.model} on {found.spec.device}: {p50:.4g} ms", err=True)


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option("--device", type=click.Choice(DEVICES), default="cpu", show_default=True, help="Whose latency.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default="pareto.png",
    show_default=True,
    help="Picture.",
)
@click.option("--uri", help="Tracking store that holds the runs.")
def pareto(run_ids: tuple[str, ...], device: str, output: Path, uri: str | None) -> None:
    """Draw finished runs by accuracy, latency, size and memory, and which of them no other beats."""
    if output.suffix != ".png":
        raise ConfigError(f"Invalid value for `--output`: expected a name that ends in .png, got {output}.")
    with quiet_libraries.starting():
        from tinybench.commands import pareto as tradeoff
    for file in tradeoff.draw(run_ids, output, device, uri):
        click.echo(f"wrote {file}")
