"""Which version a served model is, by the files that MLflow fetched."""

from __future__ import annotations

from pathlib import Path

import yaml

_REGISTERED = "registered_model_meta"  # MLflow writes it into a registered model that it fetches
_MODEL = "MLmodel"


def version(folder: Path) -> str:
    """The version of a model by its files: that of the registry, else the model's id."""
    registered = folder / _REGISTERED
    if registered.exists():
        return str(yaml.safe_load(registered.read_text("utf-8"))["model_version"])
    about = folder / _MODEL
    return str(yaml.safe_load(about.read_text("utf-8")).get("model_id") or "") if about.exists() else ""
