"""The model that is trained: augmentation, a backbone in the mode it should be in, and the head."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from tinybench.core.errors import ConfigError
from tinybench.features.cut import Cut
from tinybench.models import parts


class Inference(keras.layers.Layer):
    """Calls a model in inference mode, whatever its caller is doing.

    A functional model hands its caller's training flag down to every layer, whatever flag it was built
    with (Keras 3.15); a layer whose call does not take the flag ends that.
    """

    def __init__(self, model: keras.Model) -> None:
        """Args: the model, whose weights are shared."""
        super().__init__(name="inference")
        self.model = model

    def call(self, features: Any) -> Any:
        """The model's output."""
        return self.model(features, training=False)

    def compute_output_spec(self, features: Any) -> Any:
        """The model's own, so that nothing is traced."""
        return self.model.compute_output_spec(features, training=False)


class Trainer(keras.Model):
    """A model trained on batches that are first put into the form that its loss takes."""

    mixers: list[keras.layers.Layer]  # of images and labels, before all other changes
    one_hot: bool
    class_weights: NDArray[np.float32] | None

    def train_step(self, data: Any) -> dict[str, Any]:
        """Keras's, on a batch as the loss takes it."""
        figures: dict[str, Any] = super().train_step(self.batch(data))
        return figures

    def test_step(self, data: Any) -> dict[str, Any]:
        """Keras's, on labels of the same form; neither mixed nor weighted."""
        pixels, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        figures: dict[str, Any] = super().test_step((pixels, self._encoded(labels)))
        return figures

    def batch(self, data: Any) -> tuple[Any, ...]:
        """Images and labels, mixed where that is asked for, with weights where classes have them."""
        pixels, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        labels = self._encoded(labels)
        if self.mixers:
            mixed = {"images": pixels, "labels": labels}
            for mixer in self.mixers:
                mixed = mixer(mixed, training=True)
            pixels, labels = mixed["images"], mixed["labels"]
        if self.class_weights is None:
            return pixels, labels
        weights = ops.convert_to_tensor(self.class_weights)
        return pixels, labels, ops.matmul(labels, weights) if self.one_hot else ops.take(weights, labels)

    def _encoded(self, labels: Any) -> Any:
        return ops.one_hot(labels, self.output_shape[-1]) if self.one_hot else labels


class LowLevel(Trainer):
    """A training step written out, with no more of Keras than gradients and an optimizer need."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step down the gradient of the mean loss."""
        pixels, labels, weights = keras.utils.unpack_x_y_sample_weight(self.batch(data))
        with tf.GradientTape() as tape:
            predicted = self(pixels, training=True)
            loss = self.compute_loss(y=labels, y_pred=predicted, sample_weight=weights)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=ops.shape(labels)[0])
            else:
                metric.update_state(labels, predicted)
        figures: dict[str, Any] = self.get_metrics_result()
        return figures


# Networks whose source writes its own step
_OWN_STEP = {"shallow": LowLevel}


def stepping(
    trainer: keras.Model,
    network: str,
    mixers: list[keras.layers.Layer],
    *,
    one_hot: bool,
    class_weights: NDArray[np.float32] | None,
) -> keras.Model:
    """The same model with the training step that its configuration asks for; Keras's own where it asks for none."""
    if not (network in _OWN_STEP or one_hot or class_weights is not None):
        return trainer
    found = _OWN_STEP.get(network, Trainer)(trainer.input, trainer.output, name="trainer")
    found.mixers = mixers  # Keras tracks them, so that a checkpoint holds the states of their generators
    found.one_hot = one_hot
    found.class_weights = class_weights
    return found


def build(
    model: keras.Model, augmentation: list[keras.layers.Layer], following: list[str], cut: Cut | None = None
) -> keras.Model:
    """The model that is trained; it shares every weight with the one that is saved, and is never saved.

    Args:
        model: The whole model, raw pixels to probabilities.
        augmentation: Layers for training images; of no use above a cut.
        following: The backbone layers that follow the training flag: none, or its last ones in order.
            All others run in inference mode.
        cut: Where the features that are fed to it are taken; None to feed it pixels.
    """
    if cut is not None and cut.head is not None:
        features = keras.Input(cut.shape, name="features")
        return keras.Model(features, cut.head(features), name="trainer")
    below = cut.below if cut is not None else frozenset()
    lower, upper = _divided(parts.backbone(model), [name for name in following if name not in below])
    if cut is None:
        x = entry = keras.Input(model.input_shape[1:], name="pixels")
        for layer in augmentation:
            x = layer(x)
        x = Inference(lower)(parts.entrance(model)(x))
    else:
        x = entry = keras.Input(cut.shape, name="features")
        x = _between(cut.tensor, lower.outputs, x)
    x = upper(x) if upper is not None else x
    return keras.Model(entry, parts.head(model)(x), name="trainer")


def _between(start: Any, ends: list[Any], x: Any) -> Any:
    """What lies between two places of the backbone, in inference mode; a shortcut may begin at the start itself."""
    further = [end for end in ends if end is not start]
    found: list[Any] = []
    if further:
        outputs = Inference(keras.Model(start, further[0] if len(further) == 1 else further))(x)
        found = [outputs] if len(further) == 1 else [*outputs]
    results = [x if end is start else found.pop(0) for end in ends]
    return results[0] if len(results) == 1 else results


def _divided(backbone: keras.Model, following: list[str]) -> tuple[keras.Model, keras.Model | None]:
    """The backbone in two: what runs in inference mode, and what follows the training flag."""
    if not following:
        return backbone, None
    if len(following) == len(backbone.layers):
        return keras.Model(backbone.input, backbone.input), backbone
    above: set[int] = set()  # tensors
    border: dict[int, Any] = {}
    for call in parts.calls(backbone):
        # Operations such as + are no layers: they belong above as soon as something above enters them
        if call.operation.name in following or any(id(tensor) in above for tensor in call.input_tensors):
            border |= {id(tensor): tensor for tensor in call.input_tensors if id(tensor) not in above}
            above |= {id(tensor) for tensor in call.output_tensors}
    found = [*border.values()]
    _check_cut(backbone, found, above)
    tensors = found[0] if len(found) == 1 else found
    return keras.Model(backbone.input, tensors), keras.Model(tensors, backbone.output)


def _check_cut(backbone: keras.Model, border: list[Any], above: set[int]) -> None:
    """Keras cannot begin a model at the output of a layer that is called once more above it.

    Raises:
        ConfigError: the backbone has such a layer where it would have to be divided.
    """
    again = {id(call.operation) for call in parts.calls(backbone) if id(call.output_tensors[0]) in above}
    shared = [tensor._keras_history.operation for tensor in border if id(tensor._keras_history.operation) in again]
    if shared:
        raise ConfigError(
            f"`finetune.batch_norm` cannot be train here: the backbone's layer {shared[0].name} is called on both "
            "sides of the first unfrozen layer. Leave it at inference, or unfreeze all."
        )
