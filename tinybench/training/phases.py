"""Freeze and unfreeze a model for a phase, and compile the model that is trained."""

from __future__ import annotations

import math
import re

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.config.run_config import RunConfig
from tinybench.config.sections import FinetuneConfig, LossConfig, ScratchConfig
from tinybench.core.errors import ConfigError
from tinybench.core.suggestion import suggest
from tinybench.data import augment
from tinybench.data.dataset import Split
from tinybench.features.cut import Cut, find_cut
from tinybench.training import optimizers, schedules
from tinybench.training import trainer as training_model


def build_trainer(
    model: keras.Model,
    config: RunConfig,
    phase: str,
    cut: Cut | None = None,
    *,
    augmented: bool = True,
    train: Split | None = None,
) -> keras.Model:
    """Freeze and unfreeze a model for a phase, and compile the model that is trained.

    Args:
        model: The whole model, raw pixels to probabilities; the result shares its layers.
        config: The run's configuration.
        phase: `scratch`, `transfer` or `finetune`.
        cut: Where the features that it is trained on are taken (see `find_phase_cut`); None to train on pixels.
        augmented: Augment pixels in the training graph, as the configuration says.
        train: The training images, for the length of schedules and balanced class weights; without them an
            epoch is one step, and classes weigh the same.

    Returns:
        The trainer, compiled with a new optimizer.

    Raises:
        ConfigError: `finetune.unfreeze` names more layers than there are, or no layer.
    """
    training_mode_layers = freeze(model, config, phase)
    augmentation = augment.build(config.augment, config.seed) if augmented else []
    trainer = training_model.build(model, augmentation, training_mode_layers, cut)
    mixers = augment.build_mixing(config.augment, config.seed)
    one_hot = bool(mixers or config.loss.smoothing) or config.loss.labels == "one-hot"
    classes = model.output_shape[-1]
    weights = class_weights(config.loss, classes, train)
    trainer = training_model.with_training_step(trainer, config.model, mixers, one_hot=one_hot, class_weights=weights)
    steps = math.ceil(len(train or [0]) / config.batch_size)
    learning_rate = schedules.learning_rate(config.phase_settings(phase), steps)
    _compile(trainer, optimizers.build(config.optimizer, learning_rate), config.loss, classes, one_hot=one_hot)
    return trainer


def class_weights(config: LossConfig, classes: int, train: Split | None) -> NDArray[np.float32] | None:
    """Return the weight of each class in the training loss, (classes,); None when classes weigh the same.

    Raises:
        ConfigError: The number of given weights is not the number of classes.
    """
    if config.class_weights is None:
        return None
    if isinstance(config.class_weights, tuple):
        if len(config.class_weights) != classes:
            raise ConfigError(
                f"Invalid value for `loss.class_weights`: expected {classes} numbers, one a class, "
                f"got {len(config.class_weights)}. Or use balanced."
            )
        return np.asarray(config.class_weights, np.float32)
    if train is None:
        return np.ones(classes, np.float32)
    from sklearn.utils.class_weight import compute_class_weight

    return np.asarray(compute_class_weight("balanced", classes=np.arange(classes), y=train.labels), np.float32)


def find_phase_cut(model: keras.Model, config: RunConfig, phase: str) -> Cut | None:
    """Freeze a model for a phase and return where its frozen part ends; None when no weights are frozen."""
    return find_cut(model, freeze(model, config, phase))


def freeze(model: keras.Model, config: RunConfig, phase: str) -> list[str]:
    """Freeze and unfreeze a model's layers for a phase.

    Returns:
        Names of the backbone's layers that run in training mode; all others run in inference mode.
    """
    settings = config.phase_settings(phase)
    backbone = model.get_layer("backbone")
    if isinstance(settings, ScratchConfig):
        backbone.trainable = True
        for layer in backbone.layers:
            layer.trainable = True
        return [layer.name for layer in backbone.layers]
    trained = trained_layer_names(backbone, settings.unfreeze) if isinstance(settings, FinetuneConfig) else []
    backbone.trainable = True  # or the layers' own flags would not count
    for layer in backbone.layers:
        layer.trainable = layer.name in trained
    return trained if isinstance(settings, FinetuneConfig) and settings.batch_norm == "train" else []


def check_model(model: keras.Model, config: RunConfig) -> None:
    """Raise an error, before any training, for settings that do not fit the model.

    Raises:
        ConfigError: `finetune.unfreeze` names more layers than there are, or no layer; class weights for other
            classes; a crop that leaves nothing.
    """
    augment.check(config.augment, model.input_shape[1:])
    class_weights(config.loss, model.output_shape[-1], None)
    if "finetune" in config.phases:
        trained_layer_names(model.get_layer("backbone"), config.finetune.unfreeze)


def list_notes(model: keras.Model, config: RunConfig) -> list[str]:
    """Return what should be known, before any training, about what fine-tuning will train; freezes the model for it."""
    settings = config.finetune
    if "finetune" not in config.phases:
        return []
    freeze(model, config, "finetune")
    backbone = model.get_layer("backbone")
    trained = [layer for layer in backbone.layers if layer.trainable]
    if not any(layer.trainable_weights for layer in trained):
        return [_note_of_head(backbone, settings.unfreeze, len(trained))]
    whole = [layer.name for layer in trained if _holds_model(layer)]
    return [
        f"finetune trains the layer {name} as a whole: it holds a model of its own, which cannot be frozen in part."
        for name in whole
        if settings.unfreeze != "all"
    ]


def _note_of_head(backbone: keras.Model, unfreeze: int | float | str, count: int) -> str:
    layers = "layer of the backbone has" if count == 1 else f"{count} layers of the backbone have"
    note = f"finetune trains the head only: with finetune.unfreeze={unfreeze}, the last {layers} no weights to train."
    backbone.trainable = True
    for number, layer in enumerate(reversed(backbone.layers), 1):
        layer.trainable = True
        if layer.trainable_weights:
            return f"{note} The last layer with weights is {layer.name}: finetune.unfreeze={number} trains it."
    return f"{note} No other layer has, either."


def _holds_model(layer: keras.Layer) -> bool:
    return any(isinstance(inner, keras.Model) for inner in layer._flatten_layers())


def trained_layer_names(backbone: keras.Model, unfreeze: int | float | str) -> list[str]:
    """Return the names of the backbone's layers to train, from the first one to the last.

    Args:
        backbone: The feature extractor.
        unfreeze: The last n layers, a share of them (rounded up), `all`, or the name of a layer or block,
            which means everything from its first layer on.

    Raises:
        ConfigError: There are fewer layers, or no layer or block of that name.
    """
    names = [layer.name for layer in backbone.layers]
    if isinstance(unfreeze, str):
        return names[_first_layer_of_block(unfreeze, names) :]
    count = unfreeze if isinstance(unfreeze, int) else math.ceil(unfreeze * len(names))
    if count > len(names):
        raise ConfigError(
            f"Invalid value for `finetune.unfreeze`: the backbone has {len(names)} layers, got {count}. Use all."
        )
    return names[-count:]


def _first_layer_of_block(block: str, names: list[str]) -> int:
    if block == "all":
        return 0
    # block1 is not block10: no digit may follow the name
    pattern = re.compile(re.escape(block) + r"(?!\d)")
    for index, name in enumerate(names):
        if pattern.match(name):
            return index
    blocks = dict.fromkeys(re.split(r"[_a-z]*_", name)[0] for name in names if re.match(r"[a-z]+\d", name))
    raise ConfigError(
        f"Invalid value for `finetune.unfreeze`: the backbone has no layer or block {block!r}. "
        f"Use a number, a share, all, or a name such as {', '.join([*blocks][-5:] or names[-5:])}."
        + suggest(block, [*blocks, *names])
    )


def _compile(
    trainer: keras.Model, optimizer: keras.optimizers.Optimizer, config: LossConfig, classes: int, *, one_hot: bool
) -> None:
    # Labels stay integers unless they must not: the same loss, without the (n, classes) array
    sparse = "" if one_hot else "Sparse"
    metrics = keras.metrics
    smoothing = {"label_smoothing": config.smoothing} if config.smoothing else {}
    trainer.compile(
        optimizer=optimizer,
        loss=getattr(keras.losses, f"{sparse}CategoricalCrossentropy")(**smoothing),
        metrics=[
            getattr(metrics, f"{sparse}CategoricalAccuracy")(name="accuracy"),
            getattr(metrics, f"{sparse}TopKCategoricalAccuracy")(min(5, classes), name="top5"),
        ],
        jit_compile=False,  # 2 to 5 times slower on a CPU
    )
