"""The public functions that use the model of a finished run: `predict`, `explain_images` and `export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.core.errors import ConfigError
from tinybench.hardware import libraries

if TYPE_CHECKING:
    from tinybench.commands.explain import Explanation
    from tinybench.commands.export import ExportedModel
    from tinybench.commands.predict import ImagePrediction


@libraries.loads_libraries
def predict(
    source: str, images: str | Path | Sequence[str | Path], *, top: int = 5, uri: str | None = None
) -> list[ImagePrediction]:
    """Classify image files with the model of a run.

    Args:
        source: A finished run, a phase of one, or a model such as `models:/NAME@ALIAS`.
        images: An image file, a folder of them, or several.
        top: Number of classes in a prediction.
        uri: The tracking store; MLflow's default if None.

    Returns:
        A prediction for each image, in order; one that cannot be read has an `error` instead of `labels`.

    Raises:
        TinybenchError: A path does not exist, there is no image, or no such run or model.
    """
    from tinybench.commands.predict import predict_images

    if top < 1:
        raise ConfigError(f"Invalid value for `top`: expected a whole number of at least 1, got {top!r}.")
    return list(predict_images(source, _list_paths(images), top=top, uri=uri))


@libraries.loads_libraries
def explain_images(
    source: str,
    images: str | Path | Sequence[str | Path] = (),
    *,
    output: str | Path = "explanations",
    layer: str | None = None,
    label: str | None = None,
    uri: str | None = None,
) -> Explanation:
    """Explain predictions by maps of the pixels that mattered, and measure how faithful the maps are.

    Args:
        source: A finished run, a phase of one or, if images are given, a model such as `models:/NAME@ALIAS`.
        images: An image file, a folder of them, or several; some test images of the run if there are none.
        output: The folder to write plots and arrays to.
        layer: The layer of the backbone for Grad-CAM; the last one whose output is a feature map if None.
        label: The class to explain; the predicted class of each image if None.
        uri: The tracking store; MLflow's default if None.

    Returns:
        The files that were written, and the areas under the deletion and insertion curves by method.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    from tinybench.commands.explain import explain_run

    return explain_run(source, _list_paths(images), Path(output), layer=layer, label=label, uri=uri)


@libraries.loads_libraries
def export(
    run_id: str,
    format: str | None = None,
    *,
    output: str | Path | None = None,
    license: str | None = None,
    uri: str | None = None,
) -> ExportedModel:
    """Export the model of a finished run, and compare the exported model with the original on test images.

    Args:
        run_id: A run, or a phase of one.
        format: `keras`, `h5`, `savedmodel`, `onnx`, `openvino`, `litert` or `litert-int8`; that of the output's
            suffix, or `keras`, if None.
        output: The file or folder to write, which must not exist; `model` with the format's suffix if None.
        license: The license that is written into the file; `unknown` if None.
        uri: The tracking store; MLflow's default if None.

    Returns:
        The files, the metadata that are in them, and how well the models agree.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    from tinybench.commands.export import export_model

    return export_model(run_id, format, output=None if output is None else Path(output), license=license, uri=uri)


def _list_paths(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return one path, or several, as a list."""
    return [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
