"""Build the trainer: augmentation, the backbone with its frozen part in inference mode, and the head."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from tinybench.core.errors import ConfigError
from tinybench.features.cut import Cut
from tinybench.models import submodels


class Inference(keras.layers.Layer):
    """Calls a model in inference mode, also while its caller trains.

    A functional model passes its caller's training flag to every layer, whatever flag it was built
    with (Keras 3.15); a layer whose call does not take the flag stops that.

    Args:
        model: The model to call; its weights are shared.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__(name="inference")
        self.model = model

    def call(self, features: Any) -> Any:
        """Return the model's output."""
        return self.model(features, training=False)

    def compute_output_spec(self, features: Any) -> Any:
        """Return the model's own output spec, without tracing."""
        return self.model.compute_output_spec(features, training=False)


class Trainer(keras.Model):
    """A model that encodes, mixes and weights the labels of a batch before Keras's training step.

    Attributes:
        mixers: Layers that mix images and labels (MixUp, CutMix), applied before all other changes.
        one_hot: Encode labels as one-hot vectors.
        class_weights: Weight of each class in the loss, (classes,); None for equal weights.
    """

    mixers: list[keras.layers.Layer]
    one_hot: bool
    class_weights: NDArray[np.float32] | None

    def train_step(self, data: Any) -> dict[str, Any]:
        """Run Keras's training step on a prepared batch."""
        metrics: dict[str, Any] = super().train_step(self.prepare_batch(data))
        return metrics

    def test_step(self, data: Any) -> dict[str, Any]:
        """Run Keras's test step on encoded labels, neither mixed nor weighted."""
        pixels, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        metrics: dict[str, Any] = super().test_step((pixels, self._encode(labels)))
        return metrics

    def prepare_batch(self, data: Any) -> tuple[Any, ...]:
        """Return images and labels, mixed if there are mixers, with sample weights if classes have weights."""
        pixels, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        labels = self._encode(labels)
        if self.mixers:
            mixed = {"images": pixels, "labels": labels}
            for mixer in self.mixers:
                mixed = mixer(mixed, training=True)
            pixels, labels = mixed["images"], mixed["labels"]
        if self.class_weights is None:
            return pixels, labels
        weights = ops.convert_to_tensor(self.class_weights)
        return pixels, labels, ops.matmul(labels, weights) if self.one_hot else ops.take(weights, labels)

    def _encode(self, labels: Any) -> Any:
        return ops.one_hot(labels, self.output_shape[-1]) if self.one_hot else labels


class LowLevel(Trainer):
    """A training step written out with a gradient tape and an optimizer, instead of Keras's own."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Apply the gradient of the mean loss of a batch."""
        pixels, labels, weights = keras.utils.unpack_x_y_sample_weight(self.prepare_batch(data))
        with tf.GradientTape() as tape:
            predictions = self(pixels, training=True)
            loss = self.compute_loss(y=labels, y_pred=predictions, sample_weight=weights)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=ops.shape(labels)[0])
            else:
                metric.update_state(labels, predictions)
        results: dict[str, Any] = self.get_metrics_result()
        return results


# Networks whose published source writes out its training step
_CUSTOM_STEPS = {"shallow": LowLevel}


def with_training_step(
    trainer: keras.Model,
    network: str,
    mixers: list[keras.layers.Layer],
    *,
    one_hot: bool,
    class_weights: NDArray[np.float32] | None,
) -> keras.Model:
    """Return the trainer with the training step that its configuration needs; unchanged if Keras's own will do.

    Args:
        trainer: Pixels or features to probabilities.
        network: The configured model.
        mixers: Layers that mix images and labels.
        one_hot: Encode labels as one-hot vectors.
        class_weights: Weight of each class, (classes,); None for equal weights.
    """
    if not (network in _CUSTOM_STEPS or one_hot or class_weights is not None):
        return trainer
    custom = _CUSTOM_STEPS.get(network, Trainer)(trainer.input, trainer.output, name="trainer")
    custom.mixers = mixers  # Keras tracks them, so that a checkpoint holds the states of their generators
    custom.one_hot = one_hot
    custom.class_weights = class_weights
    return custom


def build(
    model: keras.Model, augmentation: list[keras.layers.Layer], training_mode_layers: list[str], cut: Cut | None = None
) -> keras.Model:
    """Build the trainer; it shares every weight with the model, which is what is saved.

    Args:
        model: The whole model, raw pixels to probabilities.
        augmentation: Layers for training images; not used with a cut.
        training_mode_layers: The backbone's layers that run in training mode: none, or its last ones in order.
            All others run in inference mode.
        cut: Where the features that the trainer takes come from; None if it takes pixels.
    """
    if cut is not None and cut.head is not None:
        features = keras.Input(cut.shape, name="features")
        return keras.Model(features, cut.head(features), name="trainer")
    below = cut.below if cut is not None else frozenset()
    lower, upper = _split_backbone(
        submodels.backbone(model), [name for name in training_mode_layers if name not in below]
    )
    if cut is None:
        x = entry = keras.Input(model.input_shape[1:], name="pixels")
        for layer in augmentation:
            x = layer(x)
        x = Inference(lower)(submodels.entrance(model)(x))
    else:
        x = entry = keras.Input(cut.shape, name="features")
        x = _connect(cut.tensor, lower.outputs, x)
    x = upper(x) if upper is not None else x
    return keras.Model(entry, submodels.head(model)(x), name="trainer")


def _connect(start: Any, ends: list[Any], x: Any) -> Any:
    """Apply the layers between two points of the backbone in inference mode; a shortcut may begin at the start."""
    targets = [end for end in ends if end is not start]
    tensors: list[Any] = []
    if targets:
        outputs = Inference(keras.Model(start, targets[0] if len(targets) == 1 else targets))(x)
        tensors = [outputs] if len(targets) == 1 else [*outputs]
    results = [x if end is start else tensors.pop(0) for end in ends]
    return results[0] if len(results) == 1 else results


def _split_backbone(backbone: keras.Model, training_mode_layers: list[str]) -> tuple[keras.Model, keras.Model | None]:
    """Split the backbone into the part that runs in inference mode and the part that runs in training mode."""
    if not training_mode_layers:
        return backbone, None
    if len(training_mode_layers) == len(backbone.layers):
        return keras.Model(backbone.input, backbone.input), backbone
    above: set[int] = set()  # tensors
    border: dict[int, Any] = {}
    for call in submodels.sorted_nodes(backbone):
        # Operations such as + are not layers: they belong above as soon as one of their inputs does
        if call.operation.name in training_mode_layers or any(id(tensor) in above for tensor in call.input_tensors):
            border |= {id(tensor): tensor for tensor in call.input_tensors if id(tensor) not in above}
            above |= {id(tensor) for tensor in call.output_tensors}
    inputs = [*border.values()]
    _check_shared_layers(backbone, inputs, above)
    tensors = inputs[0] if len(inputs) == 1 else inputs
    return keras.Model(backbone.input, tensors), keras.Model(tensors, backbone.output)


def _check_shared_layers(backbone: keras.Model, border: list[Any], above: set[int]) -> None:
    """Raise an error if the backbone would be split at a layer that is called again above, which Keras cannot do.

    Raises:
        ConfigError: There is such a layer.
    """
    called_above = {
        id(call.operation) for call in submodels.sorted_nodes(backbone) if id(call.output_tensors[0]) in above
    }
    shared = [
        tensor._keras_history.operation for tensor in border if id(tensor._keras_history.operation) in called_above
    ]
    if shared:
        raise ConfigError(
            f"`finetune.batch_norm` cannot be train here: the backbone's layer {shared[0].name} is called on both "
            "sides of the first unfrozen layer. Leave it at inference, or unfreeze all."
        )
