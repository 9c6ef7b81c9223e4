"""Log the model of a run: a pyfunc that takes images, with the `.keras` file and the package inside."""

from __future__ import annotations

import base64
import io
import warnings
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema
from PIL import Image

from tinybench.inference.classifier import ModelInfo
from tinybench.tracking import tags
from tinybench.tracking.run_writer import RunWriter

if TYPE_CHECKING:
    import keras

    from tinybench.data.dataset import Dataset

FILES = {"model": "model.keras", "labels": "labels.json", "check": "check.npz"}
"""The model's artifacts: their names in MLflow, and their files."""

_PINNED_PACKAGES = ("mlflow", "tensorflow", "keras", "numpy", "pandas", "pillow", "scipy", "scikit-learn", "requests",
                    "tenacity", "filelock", "platformdirs", "rich", "click")  # fmt: skip
_CHECK_IMAGES = 32  # test images that are stored with a model, for the reload check


def log_model(run: RunWriter, model: keras.Model, dataset: Dataset, step: int, temperature: float = 1.0) -> str:
    """Log the final model to a run, unless the run has it because it was resumed.

    Args:
        run: The parent run.
        model: Raw pixels of `dataset.shape` to probabilities.
        dataset: Gives the labels, the image size and the test images for the reload check.
        step: The epoch that the model belongs to; the run's metrics of that step are linked to it.
        temperature: The temperature at which its probabilities are calibrated.

    Returns:
        The key of the model, or its id if the run had it; `StoreWriter.id_of` has the id of a key.
    """
    logged = run.logged_tags.get(tags.MODEL_URI)
    if logged is not None:
        return logged.removeprefix("models:/")
    package = Path(__file__).parents[1]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # MLflow warns of type hints in its own classes, and that AnyType is not checked, which is intended
        warnings.simplefilter("ignore", UserWarning)
        files = {name: Path(folder) / file for name, file in FILES.items()}
        model.save(files["model"])
        info = ModelInfo(tuple(dataset.class_names), dataset.shape, temperature, dataset.resize, dataset.value_range)
        files["labels"].write_text(info.as_json(), "utf-8")
        _save_check_images(files["check"], dataset)
        saved = Path(folder) / "model"
        mlflow.pyfunc.save_model(
            str(saved),
            python_model=str(package / "tracking" / "served_model.py"),
            artifacts={name: str(file) for name, file in files.items()},
            code_paths=[str(package)],
            signature=_build_signature(),
            input_example=_build_input_example(dataset),
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in _PINNED_PACKAGES],
        )
        return run.log_model(saved, "model", step)


def _save_check_images(file: Path, dataset: Dataset) -> None:
    """Save some test images and their rows, so that a loaded model can be compared with the run's predictions."""
    test = dataset.test
    indices = np.unique(np.linspace(0, len(test) - 1, min(_CHECK_IMAGES, len(test))).astype(int))
    pixels = np.concatenate([test.images(slice(int(index), int(index) + 1)) for index in indices])
    np.savez_compressed(file, rows=test.rows[indices], pixels=pixels, allow_pickle=False)


def _build_input_example(dataset: Dataset) -> pd.DataFrame:
    """Return one test image, encoded as a client would send it."""
    pixels = dataset.test.images(slice(0, 1))[0]
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return pd.DataFrame({"image": [base64.b64encode(file.getvalue()).decode()]})


def _build_signature() -> ModelSignature:
    """Return the signature: a column of images as base64 text, bytes or nested lists of pixels; four columns out."""
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), "image")]),
        outputs=Schema([ColSpec(AnyType(), name) for name in ("labels", "probabilities", "model_version", "warnings")]),
        params=ParamSchema([ParamSpec("top_k", DataType.long, 5)]),
    )
