"""The phases: what is frozen, what is trained, and how the training model is compiled."""

from __future__ import annotations

import math
import re

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.config.run_config import RunConfig
from tinybench.config.sections import FinetuneConfig, LossConfig, PhaseConfig, ScratchConfig
from tinybench.core.errors import ConfigError
from tinybench.data import augment
from tinybench.data.dataset import Split
from tinybench.features.cut import Cut, find
from tinybench.training import optimizers, schedules
from tinybench.training import trainer as training_model


def prepare(
    model: keras.Model,
    config: RunConfig,
    phase: str,
    cut: Cut | None = None,
    *,
    augmented: bool = True,
    train: Split | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Freeze and unfreeze for a phase, and compile the model that is trained.

    Args:
        model: The whole model, raw pixels to probabilities.
        config: The run's configuration.
        phase: `scratch`, `transfer` or `finetune`.
        cut: Where the features that it is trained on are taken (see `divide`); None to train on pixels.
        augmented: Pixels are augmented in the training graph, where the configuration says how.
        train: The training images, which schedules count and balanced class weights depend on; without them an
            epoch is one step, and classes weigh the same.

    Returns:
        The given model, and the one around it that is trained, compiled with a fresh optimizer.

    Raises:
        ConfigError: `finetune.unfreeze` names more layers than there are, or no layer.
    """
    following = freeze(model, config, phase)
    augmentation = augment.build(config.augment, config.seed) if augmented else []
    trainer = training_model.build(model, augmentation, following, cut)
    mixers = augment.mixing(config.augment, config.seed)
    one_hot = bool(mixers or config.loss.smoothing) or config.loss.labels == "one-hot"
    classes = model.output_shape[-1]
    weights = class_weights(config.loss, classes, train)
    trainer = training_model.stepping(trainer, config.model, mixers, one_hot=one_hot, class_weights=weights)
    rate = schedules.rate(getattr(config, phase), math.ceil(len(train or [0]) / config.batch_size))
    return model, _compiled(trainer, optimizers.build(config.optimizer, rate), config.loss, classes, one_hot=one_hot)


def class_weights(config: LossConfig, classes: int, train: Split | None) -> NDArray[np.float32] | None:
    """The weight of each class in the training loss; None where they weigh the same.

    Raises:
        ConfigError: numbers are given, and not one for each class.
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


def divide(model: keras.Model, config: RunConfig, phase: str) -> Cut | None:
    """Where a phase's frozen part ends, after freezing it; None when nothing worth keeping is frozen."""
    return find(model, freeze(model, config, phase))


def freeze(model: keras.Model, config: RunConfig, phase: str) -> list[str]:
    """Freeze and unfreeze a model's layers for a phase.

    Returns:
        Names of the backbone's layers that follow the training flag.
    """
    settings: PhaseConfig = getattr(config, phase)
    backbone = model.get_layer("backbone")
    if isinstance(settings, ScratchConfig):
        backbone.trainable = True
        for layer in backbone.layers:
            layer.trainable = True
        return [layer.name for layer in backbone.layers]
    trained = first_trained(backbone, settings.unfreeze) if isinstance(settings, FinetuneConfig) else []
    backbone.trainable = True  # or the layers' own flags would not count
    for layer in backbone.layers:
        layer.trainable = layer.name in trained
    return trained if isinstance(settings, FinetuneConfig) and settings.batch_norm == "train" else []


def check(model: keras.Model, config: RunConfig) -> None:
    """Refuse, before any training, what does not fit the model.

    Raises:
        ConfigError: `finetune.unfreeze` names more layers than there are, or no layer; class weights for other
            classes; a crop that leaves nothing.
    """
    augment.check(config.augment, model.input_shape[1:])
    class_weights(config.loss, model.output_shape[-1], None)
    if "finetune" in config.phases:
        first_trained(model.get_layer("backbone"), config.finetune.unfreeze)


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


def _compiled(
    trainer: keras.Model, optimizer: keras.optimizers.Optimizer, config: LossConfig, classes: int, *, one_hot: bool
) -> keras.Model:
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
    return trainer
