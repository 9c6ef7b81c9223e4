"""Every recipe runs for two steps a phase on real images of its data set, and leaves what every run leaves."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image
from stores import fresh

import tinybench
from tinybench import data, models, recipes
from tinybench.config.sections import DataConfig
from tinybench.core.errors import MissingDataError
from tinybench.recipes.recipe import Recipe

# Two steps of training images, and few to judge by; large backbones see small pictures
_LARGE = ("vgg16", "resnet50", "efficientnetv2b0", "convnextbase")
_SMALL = {"batch_size": 4, "weights": "none", "data.test_per_class": 2, "engine": "keras", "track.costs": "off"}
_DRAWN = ("quickstart", "alexnet-mini", "mnist-shallow", "cifar100-vgg16-features")  # pictures take seconds
_HEAVY = ("tiny-imagenet-tlft", "tiny-imagenet-convnext", "cifar100-convnext")
_HEAVY += ("cifar10-efficientnetv2-96", "cifar10-efficientnetv2-224")
# Another recipe runs the same network, or one of its kind
_HEAVY += ("cifar10-vgg10-baseline", "cifar10-vgg10-callbacks", "cifar100-deep", "cifar100-vgg16-finetune")


def shortened(recipe: Recipe, root: Path) -> dict[str, Any]:
    """A recipe with two steps an epoch and one epoch a phase."""
    config = recipe.build()
    classes = 2
    images = 8 / classes  # of each class, in training
    held = images * (1 / (config.data.folds - 1) if config.data.folds else config.data.validation)
    chosen = _SMALL | {"data.root": str(root), "data.classes": classes, "data.per_class": round(images + max(held, 1))}
    for phase in config.phases:
        chosen |= {f"{phase}.epochs": 2 if getattr(config, phase).warmup else 1}
        chosen |= {f"{phase}.warmup": min(1, getattr(config, phase).warmup)}
    if config.data.folds:
        chosen |= {"data.folds": 2, "data.per_class": 8}
    if config.model == "deep":
        chosen |= {"network.filters": "8,8,16,16"}
    if config.model in _LARGE:
        chosen |= {"image_size": 32 if config.model != "resnet50" else 40}
    return chosen


def needs_data(recipe: Recipe, root: Path) -> None:
    config = recipe.build()
    try:
        data.load(config.dataset, DataConfig(root=str(root)), 0, image_size=config.image_size, download=False)
    except MissingDataError:
        pytest.skip(f"no {config.dataset} in TINYBENCH_DATA")


_CASES = [
    pytest.param(name, None, marks=[pytest.mark.slow] * (name in _HEAVY), id=name) for name in recipes.all_recipes()
]
_CASES += [pytest.param("tiny-imagenet-tlft", other, marks=pytest.mark.slow) for other in ("vgg16", "efficientnetb0")]


@pytest.mark.parametrize(("name", "model"), _CASES)
def test_a_recipe_runs(name: str, model: str | None, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    recipe = recipes.all_recipes()[name]
    needs_data(recipe, real_data)
    store = fresh(tmp_path_factory)
    chosen = shortened(recipe, real_data) | {"track.uri": store} | ({"model": model} if model else {})
    drawn = name in _DRAWN
    done = tinybench.train(name, **chosen, **{"track.pictures": drawn, "explain.images": 2})
    client = MlflowClient(store)
    whole = client.get_run(done.run_id)
    assert whole.info.status == "FINISHED"
    assert whole.data.params["recipe"] == name
    holders = [fold.run_id for fold in done.folds] or [done.run_id]
    for holder in holders:
        found = client.search_runs([whole.info.experiment_id], f"tags.`mlflow.parentRunId` = '{holder}'")
        runs = {run.data.tags["tinybench.phase"]: run for run in found if "tinybench.phase" in run.data.tags}
        assert tuple(sorted(runs)) == tuple(sorted(recipe.build().phases))
        for run in runs.values():
            check_phase(client, run, folds=bool(done.folds), drawn=drawn)
    assert np.isfinite(whole.data.metrics["test/accuracy"])
    pictures = {item.path for item in client.list_artifacts(done.run_id, "figures")}
    assert drawn == ({"figures/samples.png", "figures/class_distribution.png"} <= pictures)
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "green").save(picture, "PNG")
    assert len(done.load_model().predict({"image": [picture.getvalue()]})["labels"][0]) == 2


def check_phase(client: MlflowClient, run: Any, *, folds: bool, drawn: bool) -> None:
    """A phase has its curves, its figures, its checkpoints, and a best model that can be loaded."""
    metrics, run_id = run.data.metrics, run.info.run_id
    wanted = {"train/loss", "val/loss", "val/accuracy", "train/lr", "best/epoch", "efficiency/parameters"}
    assert wanted <= set(metrics)
    assert np.isfinite([metrics["train/loss"], metrics["val/loss"]]).all()
    assert ("test/accuracy" in metrics) != folds, "the test images are left alone until all folds are done"
    figures = {item.path for item in client.list_artifacts(run_id, "figures")}
    wanted = {"figures/curves.png"} | (set() if folds else {"figures/explanations.png", "figures/confusion_matrix.png"})
    assert "figures/curves.csv" in figures
    assert drawn == (wanted <= figures)
    predictions = {item.path for item in client.list_artifacts(run_id, "predictions")}
    assert folds or predictions == {"predictions/validation.npz", "predictions/test.npz"}
    best = models.load(Path(client.download_artifacts(run_id, "checkpoints/best.keras")))
    assert best.count_params() == metrics["efficiency/parameters"]
