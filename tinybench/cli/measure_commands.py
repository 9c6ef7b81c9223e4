"""The commands of cost: `measure` models without training them, `pareto` draws finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinybench.cli.options import offline_option, uri_option
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError
from tinybench.efficiency.measurement_spec import DEVICES, ENGINES, PRECISIONS

_AT_LEAST_ONE = click.IntRange(1)


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    help="Name of a model, or a .keras or .h5 file; several separated by commas, or by repeating the option.",
)
@click.option("--device", type=click.Choice([*DEVICES, "all"]), default="cpu", show_default=True, help="Where to run.")
@click.option("--gpu", type=click.IntRange(0), default=0, show_default=True, help="Number of the GPU.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="keras",
    show_default=True,
    help="What runs the model; openvino and onnxruntime need an extra: openvino or onnx.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Number format of the computation.",
)
@click.option(
    "--batch", type=_AT_LEAST_ONE, help="Images per batch for the throughput.  [default: the fastest of 1, 2, 4, …]"
)
@click.option("--threads", type=_AT_LEAST_ONE, help="CPU threads.  [default: all]")
@click.option(
    "--image_size", "--image-size", type=_AT_LEAST_ONE, help="Side in pixels.  [default: that of the model's recipe]"
)
@click.option("--classes", type=_AT_LEAST_ONE, help="Number of classes.  [default: that of the recipe's data set]")
@click.option(
    "--rounds",
    type=_AT_LEAST_ONE,
    help="How often each model is measured, in turn with the others.  [default: 2; with --quick 1]",
)
@click.option("--quick", is_flag=True, help="Time fewer calls: about 10 s per model and round.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@uri_option
@click.option("--experiment", help="MLflow experiment to log to.")
@offline_option
def measure(models: tuple[str, ...], device: str, as_json: bool, **options: Any) -> None:
    """Measure latency, throughput, memory and size of models.

    Each model has random weights, and runs in a process of its own.

    Example: tinybench measure --model resnet50,vgg16 --quick
    """
    from rich.console import Console as Terminal

    from tinybench.commands.measure import measure_models
    from tinybench.display import cost_table
    from tinybench.display.command_callbacks import LatencyPrinter

    names = [name for value in models for name in value.split(",") if name]
    devices = DEVICES if device == "all" else (device,)
    result = measure_models(names, devices=devices, callbacks=LatencyPrinter(), **options)
    if as_json:
        click.echo(cost_table.costs_json(result))
    else:
        cost_table.print_cost_tables(result, Terminal())


@click.command()
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option(
    "--device", type=click.Choice(DEVICES), default="cpu", show_default=True, help="Device of the latency to draw."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default="pareto.png",
    show_default=True,
    help="PNG file to write; its data are written beside it as CSV.",
)
@uri_option
def pareto(run_ids: tuple[str, ...], device: str, output: Path, uri: str | None) -> None:
    """Plot finished runs by accuracy, latency, size and memory."""
    if output.suffix != ".png":
        raise ConfigError(f"Invalid value for `--output`: expected a name that ends in .png, got {output}.")
    with quiet_libraries.filter_startup_noise():
        from tinybench.commands import pareto
    for file in pareto.draw_pareto(run_ids, output, device=device, uri=uri):
        click.echo(f"wrote {file}")
