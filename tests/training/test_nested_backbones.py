"""A backbone that holds other models is frozen, counted, named and cut by the layers inside them."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
import pytest
from cut_parts import LABELS, apart, chosen, fits, pixels
from keras import layers
from PIL import Image

import tinybench
from tinybench import models
from tinybench.commands import estimate
from tinybench.config import run_config
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve
from tinybench.tracking import run_record
from tinybench.tracking.tracker import Tracker
from tinybench.training import phases


def conv(name):
    return layers.Conv2D(4, 3, padding="same", activation="relu", name=name)


def model_of(*inner, channels=3, name=None):
    given = x = keras.Input((16, 16, channels))
    for layer in inner:
        x = layer(x)
    return keras.Model(given, x, name=name)


def base(x, count=8):
    for number in range(count):
        x = layers.ReLU(name=f"relu{number}")(
            layers.Conv2D(4, 3, padding="same", kernel_initializer="he_normal", name=f"conv{number}")(x)
        )
    return x


def scaled(x):
    return layers.Rescaling(1 / 8, name="scale")(x)


def flat(x):
    return base(scaled(x))


def wrapped(x):
    given = keras.Input((16, 16, 3))
    return keras.Model(given, base(given), name="base")(scaled(x))


def two_levels(x):
    given, outer = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    inner = keras.Model(given, base(given), name="inner")
    return keras.Model(outer, inner(outer), name="outer")(scaled(x))


def preprocessing_inside(x):
    given = keras.Input((16, 16, 3))
    return keras.Model(given, base(keras.Sequential([layers.Rescaling(1 / 8, name="scale")])(given)))(x)


def followed(x):
    return conv("last")(
        layers.BatchNormalization(name="norm")(model_of(conv("c1"), conv("c2"), name="base")(scaled(x)))
    )


def sequential(x):
    return conv("last")(keras.Sequential([conv("c1"), layers.BatchNormalization(name="norm"), conv("c2")])(scaled(x)))


def twice(x):
    shared = model_of(conv("c1"), conv("c2"), channels=4, name="shared")
    return conv("last")(shared(shared(conv("first")(scaled(x)))))


def save(shape, file="own.keras"):
    keras.utils.set_random_seed(0)
    given = keras.Input((16, 16, 3), name="images")
    path = Path(file).resolve()
    keras.Model(given, shape(given)).save(path)
    return path


def built(shape, **overrides):
    settings = chosen(model=str(save(shape)), weights="file", **{"head.hidden": 8} | overrides)
    return models.build(settings, (16, 16, 3), 3), settings


def moved(model, settings):
    """Names of the backbone's layers whose weights a step changes."""
    backbone = model.get_layer("backbone")
    trainer = phases.build_trainer(model, settings, "finetune")
    before = {layer.name: layer.get_weights() for layer in backbone.layers if layer.weights}
    trainer.train_on_batch(pixels(), LABELS)
    return {
        layer.name
        for layer in backbone.layers
        if layer.weights and any(map(np.any, map(np.not_equal, before[layer.name], layer.get_weights())))
    }


@pytest.mark.parametrize(
    ("shape", "unfreeze"), [(wrapped, 0.2), (wrapped, "conv6"), (two_levels, 0.2), (preprocessing_inside, "relu5")]
)
def test_what_is_unfrozen_is_that_of_the_same_layers_without_a_wrapper(shape, unfreeze):
    wanted, settings = built(flat, **{"finetune.unfreeze": unfreeze})
    found, same_settings = built(shape, **{"finetune.unfreeze": unfreeze})
    counts = [
        sum(math.prod(weight.shape) for weight in phases.build_trainer(each, used, "finetune").trainable_weights)
        for each, used in ((wanted, settings), (found, same_settings))
    ]
    assert counts[0] == counts[1] < wanted.count_params()
    assert moved(found, same_settings) == moved(wanted, settings) <= {"conv5", "conv6", "conv7"}


@pytest.mark.parametrize(
    ("shape", "batch_norm"),
    [
        (wrapped, "inference"),
        (two_levels, "train"),
        (followed, "train"),
        (sequential, "inference"),
        (twice, "inference"),
        (twice, "train"),
    ],
)
def test_stored_features_and_pixels_train_the_same(shape, batch_norm):
    model, settings = built(shape, **{"finetune.unfreeze": 1, "finetune.batch_norm": batch_norm})
    names = [layer.name for layer in model.get_layer("backbone").layers if layer.weights]
    if shape is twice and batch_norm == "train":
        with pytest.raises(ConfigError, match="the backbone's layer c1 is called on both sides"):
            phases.build_trainer(model, run_config.replace(settings, {"finetune.unfreeze": 2}), "finetune")
        return
    for unfreeze in (2, names[-1]):
        asked = run_config.replace(settings, {"finetune.unfreeze": unfreeze})
        assert fits(model, asked, "finetune", tolerance=1e-5) in [*names, "scale", "norm", "relu5", "relu6"]
        assert apart(model, asked, "finetune") <= 1e-4
        assert moved(model, asked) <= {*names[-2:]}
    assert fits(model, settings, "transfer") == "dropout"


def test_an_unknown_name_suggests_inner_layers():
    model, settings = built(wrapped, **{"finetune.unfreeze": "conv9"})
    with pytest.raises(ConfigError, match=r"no layer or block 'conv9'\..* such as relu5, conv6, relu6, conv7, relu7\."):
        phases.build_trainer(model, settings, "finetune")


@pytest.mark.parametrize(
    ("unfreeze", "words"),
    [
        (1, "with finetune.unfreeze=1, the last layer of the backbone has no weights to train. The last layer with "
            "weights is conv7: finetune.unfreeze=2 trains it."),
        (0.01, "with finetune.unfreeze=0.01, the last layer of the backbone has no weights"),
        ("relu7", "with finetune.unfreeze=relu7, the last layer"),
        (2, None),
        ("all", None),
    ],
)  # fmt: skip
def test_unfreezing_layers_without_weights_is_told(unfreeze, words):
    model, settings = built(wrapped, **{"finetune.unfreeze": unfreeze})
    notes = phases.list_notes(model, settings)
    assert len(notes) == (words is not None)
    assert all(note.startswith("finetune trains the head only: ") and words in note for note in notes)


@pytest.mark.parametrize(
    "ending",
    [
        [layers.GlobalAveragePooling2D(keepdims=True), layers.Dropout(0.5)],
        [layers.MaxPooling2D(), layers.Activation("relu")],
        [layers.Normalization(mean=0.0, variance=1.0), layers.ZeroPadding2D()],
    ],
)
def test_two_layers_without_weights_at_the_end_are_told(ending):
    model, settings = built(lambda x: model_of(conv("c1"), *ending)(scaled(x)), **{"finetune.unfreeze": 2})
    (note,) = phases.list_notes(model, settings)
    assert "the last 2 layers of the backbone have no weights to train" in note
    assert note.endswith("The last layer with weights is c1: finetune.unfreeze=3 trains it.")


def test_a_run_that_does_not_fine_tune_is_told_nothing():
    model, settings = built(wrapped, **{"finetune.unfreeze": 2})
    settings = run_config.replace(settings, {"phases": "transfer"})
    assert phases.list_notes(model, settings) == []


def test_a_model_that_stays_one_layer_is_told_where_it_is_trained():
    def converting(x):
        given = keras.Input((16, 16, 3), dtype="uint8")
        rounding = keras.Model(given, conv("c2")(conv("c1")(given)), name="rounding")
        return conv("last")(rounding(scaled(x)))

    for unfreeze, told in ((1, 0), (2, 1), ("all", 0)):
        model, settings = built(converting, **{"finetune.unfreeze": unfreeze})
        notes = phases.list_notes(model, settings)
        assert len(notes) == told
        assert all("finetune trains the layer rounding as a whole" in note for note in notes)


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(12):
            image = Image.fromarray(generator.integers(0, 256, (16, 16, 3), np.uint8))
            image.save(tmp_path / "images" / label / f"{number}.png")
    return f"folder:{tmp_path / 'images'}"


def settings_of_run(path, folder, **overrides):
    overrides = {"finetune.unfreeze": 4, "transfer.epochs": 1, "finetune.epochs": 1} | overrides
    return {
        "recipe": "quickstart", "model": str(path), "weights": "file", "dataset": folder, "image_size": 16,
        "track.costs": "off", "track.pictures": False, "explain.images": 0, **overrides,
    }  # fmt: skip


def planned(path, folder, **overrides):
    settings = settings_of_run(path, folder, **overrides)
    return resolve(settings.pop("recipe"), settings)


def test_the_plan_of_a_run_counts_the_layers_inside(folder):
    found = [
        estimate.estimate_run(planned(save(shape, f"{shape.__name__}.keras"), folder))
        for shape in (flat, wrapped, two_levels)
    ]
    trainable = [{phase: each.phases[phase].trainable for phase in each.phases} for each in found]
    assert trainable[0] == trainable[1] == trainable[2]
    assert trainable[0]["transfer"] < trainable[0]["finetune"] < found[0].parameters


def test_the_plan_says_that_only_the_head_is_trained(folder):
    config = planned(save(wrapped), folder, **{"finetune.unfreeze": 1})
    assert [note for note in estimate.estimate_run(config).warnings if "trains the head only" in note]


def test_a_run_moves_no_weight_outside_its_share(folder):
    class Messages(tinybench.RunCallbacks):
        def __init__(self):
            self.lines = []

        def on_message(self, text):
            self.lines.append(text)

    path, said = save(two_levels), Messages()
    result = tinybench.train(**settings_of_run(path, folder), run_callbacks=said)
    final = run_record.load_final_model(Tracker.at(result.tracking_uri), result.run_id).get_layer("backbone")
    inner = keras.saving.load_model(path).get_layer("outer").get_layer("inner")
    same = {
        f"conv{number}": all(
            map(
                np.array_equal,
                final.get_layer(f"conv{number}").get_weights(),
                inner.get_layer(f"conv{number}").get_weights(),
            )
        )
        for number in range(8)
    }
    assert same == {f"conv{number}": number < 6 for number in range(8)}
    assert not [line for line in said.lines if "head only" in line]
    said.lines.clear()
    tinybench.train(**settings_of_run(path, folder, **{"finetune.unfreeze": 1}), run_callbacks=said)
    notes = [line for line in said.lines if "head only" in line]
    assert len(notes) == 1
    assert notes[0].startswith("Note: finetune trains the head only")
