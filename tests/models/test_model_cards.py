"""The cards of the models are true of the real models."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner
from keras.src.utils import file_utils

from tinybench import recipes
from tinybench.cli import root
from tinybench.config.network_size import PUBLISHED_SIZES
from tinybench.models import backbones, networks
from tinybench.models.model_cards import MODEL_CARDS

CARDS = {card.name: card for card in MODEL_CARDS}
APPLICATIONS = [card.name for card in MODEL_CARDS if card.weights_file]


class Asked(Exception):
    """Raised in place of a download."""


def asked_file(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name under which Keras would store the file of weights of a model."""

    def get_file(fname: str, origin: str, **_):
        raise Asked(fname)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    constructor, _ = backbones._constructors()[name]
    with pytest.raises(Asked) as asked:
        constructor(weights="imagenet", include_top=False, input_shape=(size, size, 3))
    return str(asked.value)


def test_every_model_has_a_card():
    assert [*CARDS] == backbones.names()


@pytest.mark.parametrize("name", PUBLISHED_SIZES)
def test_a_small_network_is_as_its_card_says(name):
    card = CARDS[name]
    assert networks.build(name, PUBLISHED_SIZES[name], card.size, 3, "none").count_params() == card.parameters
    assert card.size in {
        recipe.build().image_size for recipe in recipes.all_recipes().values() if recipe.build().model == name
    }
    assert (card.top1, card.weights_file) == (None, "")


def _native_size(constructor) -> int:
    """Return the side of the images of a model with its classifier; those of MobileNetV3 may have any."""
    return constructor(weights=None).input_shape[1]


def check_application(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    card = CARDS[name]
    constructor, _ = backbones._constructors()[name]
    keras.backend.clear_session()
    assert name.startswith("mobilenetv3") or _native_size(constructor) == card.size
    backbone = constructor(weights=None, include_top=False, input_shape=(card.size, card.size, 3))
    assert backbone.count_params() == card.parameters
    assert fnmatch(asked_file(name, card.size, monkeypatch), card.weights_file)


@pytest.mark.parametrize("name", ["mobilenet", "vgg16"])
def test_a_model_of_keras_is_as_its_card_says(name, monkeypatch):
    check_application(name, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_model_of_keras_is_as_its_card_says(name, monkeypatch):
    check_application(name, monkeypatch)


@pytest.fixture
def keras_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    return tmp_path / "keras" / "models"


def listed(*words: str) -> str:
    result = CliRunner().invoke(root.cli, ["models", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_list_says_which_weights_are_here(keras_folder):
    for name in ("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "mobilenet_1_0_128_tf_no_top.h5"):
        (keras_folder / name).touch()
    rows = {line.split()[0]: line.split() for line in listed().splitlines() if line}
    assert rows["resnet50"] == ["resnet50", "23,587,712", "224", "0.749", "downloaded"]
    assert rows["mobilenet"][-1] == "downloaded"
    assert rows["vgg16"][-2:] == ["to", "download"]
    assert rows["smallcnn"] == ["smallcnn", "65,568", "16", "none"]


def test_the_list_is_there_for_scripts(keras_folder):
    models = {model["name"]: model for model in json.loads(listed("--json"))}
    assert [*models] == [*CARDS]
    assert models["resnet50"] == {
        "name": "resnet50", "parameters": 23_587_712, "size": 224, "top1": 0.749,
        "weights_file": "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "weights": "to download",
    }  # fmt: skip
    assert models["smallcnn"]["top1"] is None


def test_the_list_loads_no_keras():
    import subprocess
    import sys

    from processes import ROOT

    code = "import sys; from tinybench.cli import root; root.cli.main(['models'], standalone_mode=False)\n" \
           "sys.exit(','.join({'keras', 'tensorflow', 'numpy', 'mlflow'} & set(sys.modules)) or 0)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^resnet50 +23,587,712", done.stdout, re.MULTILINE)
