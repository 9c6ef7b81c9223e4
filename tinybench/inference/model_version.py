"""Read the version of a served model from the files that MLflow downloaded."""

from __future__ import annotations

from pathlib import Path

import yaml

_REGISTERED = "registered_model_meta"  # written by MLflow when it downloads a registered model
_MODEL = "MLmodel"


def read_version(folder: Path) -> str:
    """Return the version of a downloaded model: its number in the registry, else its MLflow id, else empty text."""
    registered = folder / _REGISTERED
    if registered.exists():
        return str(yaml.safe_load(registered.read_text("utf-8"))["model_version"])
    model = folder / _MODEL
    return str(yaml.safe_load(model.read_text("utf-8")).get("model_id") or "") if model.exists() else ""
