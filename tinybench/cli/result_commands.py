"""The commands that use the model of a finished run: `evaluate`, `export`, `predict` and `explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinybench.cli.option_values import none_if_unset
from tinybench.cli.options import SettingsCommand, offline_option, uri_option
from tinybench.cli.startup import load_libraries
from tinybench.commands import export_suffixes


@click.command(cls=SettingsCommand)
@click.argument("run_id")
@click.option(
    "--split", default="test", show_default=True, help="Images to evaluate on: train, validation (or val), or test."
)
@uri_option
@offline_option
def evaluate(run_id: str, split: str, uri: str | None, settings: dict[str, Any]) -> None:
    """Evaluate the model of finished run RUN_ID again.

    The evaluation is logged as a new run that is linked to it. 95 % intervals are printed in brackets. With --dataset
    the model is evaluated on other data.
    """
    load_libraries()

    from tinybench import api
    from tinybench.display import metric_lines

    metrics = api.evaluate(run_id, split=none_if_unset(split) or "test", uri=uri, **settings)
    click.echo(metric_lines.format_metrics(metrics))


@click.command()
@click.argument("run_id")
@click.option(
    "--format",
    type=click.Choice([*export_suffixes.SUFFIXES]),
    help="onnx and openvino need an extra: pip install 'tinybench[onnx]' or 'tinybench[openvino]'.  [default: that of "
    "the suffix of --output, or keras]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File or folder to write.  [default: model, with the suffix of the format]",
)
@click.option("--license", help="License to write into the file, such as CC-BY-4.0.  [default: unknown]")
@uri_option
def export(run_id: str, format: str | None, output: Path | None, license: str | None, uri: str | None) -> None:
    """Export the model of finished run RUN_ID.

    The exported model is compared with the original on test images. Classes, input, run and license are written into
    the file, and with the comparison into a JSON file beside it.
    """
    format = export_suffixes.choose_format(format, output)  # before TensorFlow is loaded
    load_libraries()

    from tinybench import api
    from tinybench.display import export_lines

    exported = api.export(run_id, format, output=output, license=license, uri=uri)
    click.echo(export_lines.format_export(exported))


@click.command()
@click.argument("source", metavar="RUN_OR_MODEL")
@click.argument("images", metavar="IMAGES...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Classes to print for each image.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per image and line.")
@click.option(
    "--maps",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write maps to of the pixels that mattered, as the command explain does.",
)
@uri_option
def predict(source: str, images: tuple[Path, ...], top: int, as_json: bool, maps: Path | None, uri: str | None) -> None:
    """Classify images with the model of a run.

    RUN_OR_MODEL is the ID of a finished run, or a model such as models:/NAME@ALIAS. IMAGES are files, and folders of
    them.
    """
    load_libraries()

    from tinybench.commands import explain, image_files, predict
    from tinybench.display import prediction_lines

    skipped = image_files.describe_skipped_files(images)
    if skipped:
        click.echo(f"Note: {skipped}", err=True)
    readable: list[Path] = []
    failed, is_told = False, False
    for prediction in predict.predict_images(source, images, top=top, uri=uri):
        if prediction.error:
            failed = True
        else:
            readable.append(prediction.path)
        if prediction.warning and not is_told:
            is_told = True  # once: the images of a camera are alike
            click.echo(f"Note: {prediction.path}: {prediction.warning}", err=True)
        if as_json:
            click.echo(prediction_lines.prediction_json(prediction))
        elif prediction.error:
            click.echo(f"Error: {prediction.error}", err=True)
        else:
            click.echo(prediction_lines.format_prediction(prediction))
    if maps is not None and readable:
        for file in explain.explain_run(source, readable, maps, uri=uri).files:
            click.echo(f"wrote {file}", err=as_json)
    if failed:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("run_id", metavar="RUN_OR_MODEL")
@click.option(
    "--images",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Image or folder of images; may be repeated.  [default: some test images]",
)
@click.option(
    "--layer", help="Layer of the backbone for Grad-CAM.  [default: the last one whose output is a feature map]"
)
@click.option("--label", help="Class to explain.  [default: the predicted class of each image]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="explanations",
    show_default=True,
    help="Folder to write to.",
)
@uri_option
def explain(
    run_id: str, images: tuple[Path, ...], layer: str | None, label: str | None, output: Path, uri: str | None
) -> None:
    """Explain predictions by maps of the pixels that mattered.

    RUN_OR_MODEL is the ID of a finished run, or with --images a model such as models:/NAME@ALIAS. How much the maps
    can be trusted is measured as well.
    """
    load_libraries()

    from rich.console import Console as Terminal

    from tinybench.commands import explain
    from tinybench.display import faithfulness_table

    explanation = explain.explain_run(run_id, images, output, layer=layer, label=label, uri=uri)
    faithfulness_table.print_faithfulness_table(explanation, Terminal())
