"""The phases: what is frozen, what is trained, and how the training model is compiled."""

from __future__ import annotations

import math
import re
from typing import Any

import keras

from tinybench.config import FinetuneConfig, PhaseConfig, RunConfig
from tinybench.data import augment
from tinybench.errors import ConfigError


def prepare(model: keras.Model, config: RunConfig, phase: str) -> tuple[keras.Model, keras.Model]:
    """Freeze and unfreeze for a phase, and compile the model that is trained.

    Args:
        model: The whole model, raw pixels to probabilities.
        config: The run's configuration.
        phase: `transfer` or `finetune`.

    Returns:
        The model to save (the given one, or one that shares its weights) and the training model around
        it, which adds augmentation and is compiled with a fresh Adam.

    Raises:
        ConfigError: `finetune.unfreeze` names more layers than there are, or no layer.
    """
    settings: PhaseConfig = getattr(config, phase)
    backbone = model.get_layer("backbone")
    trained = set(first_trained(backbone, settings.unfreeze)) if isinstance(settings, FinetuneConfig) else set()
    backbone.trainable = True  # or the layers' own flags would not count
    for layer in backbone.layers:
        layer.trainable = layer.name in trained
    if isinstance(settings, FinetuneConfig) and settings.batch_norm == "train":
        model = _in_training_mode(model, trained)
    return model, _compiled(model, config, settings.lr)


def first_trained(backbone: keras.Model, unfreeze: int | float | str) -> list[str]:
    """Names of the backbone's layers to train, from the first one to the last.

    Args:
        backbone: The feature extractor.
        unfreeze: The last n layers, a share of them (rounded up), `all`, or the name of a layer or block,
            which stands for everything from its first layer on.
    """
    names = [layer.name for layer in backbone.layers]
    if isinstance(unfreeze, str):
        return names[_start_of(unfreeze, names) :]
    count = unfreeze if isinstance(unfreeze, int) else math.ceil(unfreeze * len(names))
    if count > len(names):
        raise ConfigError(
            f"Invalid value for `finetune.unfreeze`: the backbone has {len(names)} layers, got {count}. Use all."
        )
    return names[-count:]


def _start_of(block: str, names: list[str]) -> int:
    if block == "all":
        return 0
    # block1 is not block10: what follows the name must not go on with a digit
    pattern = re.compile(re.escape(block) + r"(?!\d)")
    for place, name in enumerate(names):
        if pattern.match(name):
            return place
    blocks = dict.fromkeys(re.split(r"[_a-z]*_", name)[0] for name in names if re.match(r"[a-z]+\d", name))
    raise ConfigError(
        f"Invalid value for `finetune.unfreeze`: the backbone has no layer or block {block!r}. "
        f"Use a number, a share, all, or a name such as {', '.join([*blocks][-5:] or names[-5:])}."
    )


def _in_training_mode(model: keras.Model, trained: set[str]) -> keras.Model:
    """The same layers called anew, so that the trained part of the backbone obeys the training flag."""

    def rewire(layer: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("training", None)
        if layer.name not in trained and layer.name != "backbone" and _takes_training(layer):
            kwargs["training"] = False
        return layer(*args, **kwargs)

    def rewired(part: keras.Model, layer_of: Any) -> keras.Model:
        return keras.models.clone_model(part, clone_function=layer_of, call_function=rewire)

    heads = {layer.name for layer in model.layers}
    backbone = rewired(model.get_layer("backbone"), lambda layer: layer)
    trained = trained | heads
    return rewired(model, lambda layer: backbone if layer.name == "backbone" else layer)


def _takes_training(layer: Any) -> bool:
    return bool(getattr(layer, "_call_has_training_arg", False))


def _compiled(model: keras.Model, config: RunConfig, lr: float) -> keras.Model:
    pixels = keras.Input(model.input_shape[1:], name="pixels")
    x = pixels
    for layer in augment.build(config.augment, config.seed):
        x = layer(x)
    trainer = keras.Model(pixels, model(x), name="trainer")
    # Labels stay integers: the same loss as one-hot categorical cross-entropy, without the (n, classes) array
    trainer.compile(
        optimizer=keras.optimizers.Adam(lr),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.SparseTopKCategoricalAccuracy(min(5, model.output_shape[-1]), name="top5"),
        ],
        jit_compile=False,  # 2 to 5 times slower on a CPU
    )
    return trainer
