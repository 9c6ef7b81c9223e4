"""A run in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset, ImagePool, Split
from tinybench.job import description
from tinybench.recipes.resolve import resolve
from tinybench.tracking.results import FoldResult, PhaseResult
from tinybench.training.progress import Epoch, Progress

FIGURES = {
    "test/accuracy": 0.91234,
    "test/top5": 0.99,
    "test/f1_macro": 0.9,
    "test/auc_ovr_macro": 0.995,
    "test/loss": 0.25,
    "efficiency/training_seconds": 12.34,
}
CELLS = "| 0.9123 | 0.9900 | 0.9000 | 0.9950 | 0.2500 | 12.3 |"


MANY = (0,) * 100


def part(labels: Sequence[int]) -> Split:
    numbers = np.array(labels, np.int32)
    pool = ImagePool(np.zeros((len(labels), 8, 8, 1), np.uint8), numbers, np.zeros(len(labels), "S16"))
    return Split(pool, np.arange(len(labels)), numbers)


def dataset(train: Sequence[int] = (0, 1, 1), validation: Sequence[int] = (0,), test: Sequence[int] = (1,), **other):
    values = {"name": "pets", "class_names": ("cat", "dog"), "shape": (8, 8, 1), "origin": "/pets"}
    values |= {"fingerprint": "0123456789abcdef" * 4, "split_hash": "f" * 64} | other
    return Dataset(train=part(train), validation=part(validation), test=part(test), **values)


def settings(**overrides) -> RunConfig:
    return resolve("quickstart", overrides)


@pytest.mark.parametrize(
    ("model", "source", "name"),
    [
        ("resnet50", "tiny-imagenet", "resnet50 on tiny-imagenet"),
        ("/models/my.net.keras", "digits", "my.net on digits"),
        ("vgg16", "folder:/data/pets/", "vgg16 on pets"),
        ("vgg16", "folder:pets", "vgg16 on pets"),
    ],
)
def test_a_run_is_called_by_its_model_and_data(model, source, name):
    assert description.run_name(settings(model=model, dataset=source)) == name


def test_a_phase_is_called_by_its_run():
    assert description.run_name(settings(), "transfer") == "transfer: smallcnn on digits"


def test_the_parent_s_page_has_a_row_for_each_phase():
    done = {"transfer": PhaseResult("a", 10, 8, FIGURES), "finetune": PhaseResult("b", 15, 12, {"test/loss": 0.5})}
    lines = description.describe_run(settings(seed=7), dataset(), done).splitlines()
    assert lines[0] == "**smallcnn on digits**, recipe `quickstart`, seed 7."
    assert lines[2] == "| phase | best epoch | top-1 | top-5 | F1 | AUC | loss | training s |"
    assert lines[3] == "|---|---|---|---|---|---|---|---|"
    assert lines[4] == f"| transfer | 8 {CELLS}"
    assert lines[5] == "| finetune | 12 |  |  |  |  | 0.5000 |  |", "a metric that is not defined leaves a gap"
    assert "Data: 3 train, 1 validation, 1 test images, 2 classes, fingerprint `0123456789ab`." in lines


def test_the_parent_s_page_names_what_chose_the_weights():
    text = description.describe_run(
        settings(monitor="val/accuracy"), dataset(), {"transfer": PhaseResult("a", 1, 1, FIGURES)}
    )
    assert "weights were chosen by val/accuracy" in text


def test_thousands_are_grouped():
    text = description.describe_run(
        settings(), dataset(train=[0, 1] * 600), {"transfer": PhaseResult("a", 1, 1, FIGURES)}
    )
    assert "1,200 train" in text


@pytest.mark.parametrize(
    ("phase", "first", "second"),
    [
        ("transfer", "Phase **transfer** of smallcnn on digits, backbone frozen.", "2 of 20 epochs at lr 0.003;"),
        ("finetune", "Phase **finetune** of smallcnn on digits, unfreezing all.", "2 of 15 epochs at lr 0.002;"),
    ],
)
def test_a_phase_s_page(phase, first, second):
    progress = Progress([Epoch(1, {}, 0), Epoch(2, {}, 0)], best_epoch=2)
    lines = description.describe_phase(phase, settings(), progress, "trained on pixels", FIGURES).splitlines()
    assert lines[0] == first
    assert lines[1] == f"{second} best: 2."
    assert lines[2] == "It trained on pixels."
    assert lines[3].startswith("Pictures are in `figures/` of this run's artifacts; the tag `figures.absent` names")
    assert lines[-1] == CELLS
    assert {line.count("|") for line in lines[5:]} == {7}


def test_a_run_says_where_its_pictures_are():
    done = {phase: PhaseResult("a", 1, 1, FIGURES) for phase in ("transfer", "finetune")}
    assert (
        "Pictures, among the artifacts: classes, samples and curves in `figures/` of this run; confusion matrix, "
        "predictions, calibration and explanations in `figures/` of the child runs `transfer: smallcnn on digits` and "
        "`finetune: smallcnn on digits`."
    ) in description.describe_run(settings(), dataset(), done).splitlines()
    one = description.describe_run(settings(), dataset(), {"scratch": PhaseResult("a", 1, 1, FIGURES)})
    assert "in `figures/` of the child run `scratch: smallcnn on digits`." in one
    folds = [FoldResult(number, "a", {"out_of_fold/accuracy": 0.5}) for number in (1, 2)]
    summary = dict.fromkeys(("folds/accuracy_mean", "folds/accuracy_sd"), 0.5)
    summary |= dict.fromkeys(("folds/test_accuracy_mean", "folds/test_accuracy_sd"), 0.5)
    assert (
        "Pictures, among the artifacts in `figures/` of this run: classes, samples, curves, confusion matrix, "
        "predictions, calibration."
    ) in description.describe_folds(settings(), dataset(), folds, summary).splitlines()


def test_a_run_without_pictures_names_none():
    bare = resolve("quickstart", {"track.pictures": False})
    progress = Progress([Epoch(1, {}, 0)], best_epoch=1)
    for text in (
        description.describe_run(bare, dataset(), {"transfer": PhaseResult("a", 1, 1, FIGURES)}),
        description.describe_phase("transfer", bare, progress, "trained on pixels", FIGURES),
    ):
        assert "Pictures" not in text


def test_nothing_to_warn_of():
    assert (
        description.list_warnings(settings(phases="scratch"), dataset(validation=MANY, duplicates={"train/test": 0}))
        == []
    )


def test_duplicates_and_the_source_s_warnings_are_told():
    given_data = dataset(validation=MANY, duplicates={"train/validation": 0, "train/test": 3}, warnings=("Look.",))
    warnings = description.list_warnings(settings(phases="scratch"), given_data)
    assert warnings == ["Look.", "3 exact duplicates across train/test."]
    assert "Note: Look." in description.describe_run(settings(), given_data, {}).splitlines()


@pytest.mark.parametrize(
    ("images", "step", "width"), [(20, "0.05", "0.22"), (99, "0.01", "0.098"), (7, "0.14", "0.37")]
)
def test_what_few_validation_images_can_tell_apart(images, step, width):
    few = dataset(validation=(0,) * images)
    (line,) = description.list_warnings(settings(phases="scratch"), few)
    assert line.startswith(f"With {images} validation images, accuracy moves in steps of {step}, and its 95 % interval")
    assert f"up to ± {width} wide" in line
    assert description.list_warnings(settings(phases="scratch", **{"data.folds": 5}), few) == []


def test_a_frozen_backbone_with_random_weights_is_told():
    (line,) = description.list_warnings(settings(phases="transfer"), dataset(validation=MANY))
    assert line.startswith("The backbone has random weights (weights=none), and phase transfer freezes it")
    assert description.list_warnings(settings(phases="finetune"), dataset(validation=MANY)) == []


def test_weights_in_a_model_of_the_user_that_are_not_used_are_told():
    own = {"model": "nets/edge.keras", "phases": "transfer"}
    (line,) = description.list_warnings(settings(**own, weights="none"), dataset(validation=MANY))
    assert line.startswith("The weights in nets/edge.keras are not used: weights=none begins with random ones.")
    assert settings(**own).weights == "file", "which are used unless others are named"
    assert description.list_warnings(settings(**own), dataset(validation=MANY)) == []


@pytest.mark.parametrize(
    ("accuracy", "low", "beginning"),
    [
        (0.2, 0.1, "No better than guessing: top-1 0.2 on the test images"),
        (0.25, 0.2, "No better than guessing"),
        (0.3, 0.25, "It cannot be told from guessing: the 95 % interval of top-1 0.3 begins at 0.25"),
        (0.3, 0.26, ""),
    ],
)
def test_a_model_that_is_no_better_than_guessing_is_told(accuracy, low, beginning):
    labels = np.array([0, 1, 2, 3] * 5)
    warning = description.warn_of_guessing({"test/accuracy": accuracy, "test/accuracy_low": low}, labels)
    assert warning.startswith(beginning)
    assert bool(warning) == bool(beginning)
    assert description.warn_of_guessing({}, labels) == ""


def test_a_name_begins_with_what_differs_from_the_recipe():
    assert description.run_name(settings()) == "smallcnn on digits"
    changed = settings(seed=3, **{"head.dropout": 0.5, "track.pictures": False})
    assert description.run_name(changed) == "seed 3, head.dropout 0.5, smallcnn on digits"
    assert description.run_name(changed, "finetune") == "finetune: smallcnn on digits", "it is listed below its run"
    searched = settings(**{"head.dropout": 0.23834366516774497})
    assert description.run_name(searched) == "head.dropout 0.238, smallcnn on digits"
    one, other = (settings(phases="transfer", **{"head.dropout": 0.2, "transfer.lr": lr}) for lr in (1e-2, 1e-3))
    assert description.run_name(one) == "phases transfer, head.dropout 0.2, transfer.lr 0.01, smallcnn on digits"
    assert description.run_name(one) != description.run_name(other)
    many = settings(
        seed=3, batch_size=8, **{f"augment.{name}": 0.3 for name in ("rotation", "zoom", "mixup", "cutmix")}
    )
    assert description.run_name(many).count(",") == 5, "a name does not grow without end"
    fewer = settings(**{"data.per_class": 9, "head.dropout": 0.5})
    assert description.run_name(fewer) == "head.dropout 0.5, data.per_class 9, smallcnn on digits"
    assert description.run_title(changed) == "smallcnn on digits"
    assert description.run_name(resolve(None, {"model": "smallcnn", "dataset": "digits"})) == "smallcnn on digits"


@pytest.mark.parametrize(
    ("source", "weights", "flattered"),
    [
        ("tiny-imagenet", "imagenet", True),
        ("tiny-imagenet", "none", False),
        ("cifar10", "imagenet", False),
    ],
)
def test_scores_on_tiny_imagenet_are_flattered_by_its_weights(source, weights, flattered):
    chosen = dataclasses.replace(settings(), dataset=source, weights=weights)
    assert any("too optimistic" in line for line in description.list_warnings(chosen, dataset())) == flattered
