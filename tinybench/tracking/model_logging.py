"""The model of a run in the store: a pyfunc that takes pictures, with the `.keras` file inside."""

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
from mlflow.entities import LoggedModelStatus
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema
from PIL import Image

from tinybench.inference.classifier import About
from tinybench.tracking.run import Run

if TYPE_CHECKING:
    import keras

    from tinybench.data.dataset import Dataset

_PINNED_PACKAGES = ("mlflow", "tensorflow", "keras", "numpy", "pandas", "pillow", "scipy", "scikit-learn", "requests",
           "tenacity", "filelock", "platformdirs", "rich", "click")  # fmt: skip


MODEL_TAG = "tinybench.model_uri"

FILES = {"model": "model.keras", "labels": "labels.json", "check": "check.npz"}
_CHECK_IMAGES = 32  # test images that go with a model, by which it is known again


def log_model(run: Run, model: keras.Model, dataset: Dataset, step: int, temperature: float = 1.0) -> str:
    """Log the final model to a run, unless a resumed run has done so already.

    Args:
        run: The parent run.
        model: Raw pixels of `dataset.shape` to probabilities.
        dataset: Gives the labels and the size that the images had.
        step: The epoch it belongs to; the run's metrics of that step are linked to it.
        temperature: At which its probabilities are calibrated.

    Returns:
        The model's URI.
    """
    known = _find_logged_model(run)
    if known:
        run.set_tags({MODEL_TAG: known})
        return known
    package = Path(__file__).parents[1]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # MLflow warns of type hints in its own classes, and that AnyType is not checked, which we know
        warnings.simplefilter("ignore", UserWarning)
        file, labels, check = (Path(folder) / name for name in FILES.values())
        model.save(file)
        labels.write_text(About(tuple(dataset.class_names), dataset.shape, temperature).as_json(), "utf-8")
        _save_check_images(check, dataset)
        # Model.log, not pyfunc.log_model: the latter needs an active run and would end ours
        logged = Model.log(
            None,
            mlflow.pyfunc,
            name="model",
            run_id=run.id,
            step=step,
            python_model=str(package / "tracking" / "served_model.py"),
            artifacts={name: str(Path(folder) / kept) for name, kept in FILES.items()},
            code_paths=[str(package)],
            signature=_build_signature(),
            input_example=_build_input_example(dataset),
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in _PINNED_PACKAGES],
        )
    run.set_tags({MODEL_TAG: logged.model_uri})
    return str(logged.model_uri)


def _save_check_images(file: Path, dataset: Dataset) -> None:
    """Some test images with their rows: whoever loads the model can compare it with what the run kept."""
    test = dataset.test
    places = np.unique(np.linspace(0, len(test) - 1, min(_CHECK_IMAGES, len(test))).astype(int))
    pixels = np.concatenate([test.images(slice(int(place), int(place) + 1)) for place in places])
    np.savez_compressed(file, rows=test.rows[places], pixels=pixels, allow_pickle=False)


def _find_logged_model(run: Run) -> str | None:
    """The model that the run holds already, if it was logged whole."""
    experiment = run.client.get_run(run.id).info.experiment_id
    found = run.client.search_logged_models([experiment], f"source_run_id = '{run.id}'")
    whole = [model.model_uri for model in found if model.status == LoggedModelStatus.READY]
    return str(whole[0]) if whole else None


def _build_input_example(dataset: Dataset) -> pd.DataFrame:
    """One test image, encoded as a client would send it."""
    pixels = dataset.test.images(slice(0, 1))[0]
    encoded = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(encoded, "PNG")
    return pd.DataFrame({"image": [base64.b64encode(encoded.getvalue()).decode()]})


def _build_signature() -> ModelSignature:
    """Pictures in one column, as base64 text, bytes or nested lists of pixels; labels and probabilities out."""
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), "image")]),
        outputs=Schema([ColSpec(AnyType(), name) for name in ("labels", "probabilities", "model_version", "warnings")]),
        params=ParamSchema([ParamSpec("top_k", DataType.long, 5)]),
    )
