"""Layers that Keras does not have. Importing this file registers them, so that saved models find them again."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("tinybench")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each channel by the strength of the channels around it, as AlexNet does.

    `x / (bias + alpha * sum(x² of the channels within depth_radius)) ** beta`, with the defaults of
    `tf.nn.local_response_normalization`. Source: Krizhevsky et al., 2012, section 3.3.
    """

    def __init__(
        self, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, **kwargs: Any
    ) -> None:
        """Args: channels on each side, and the constants of the formula.

        Raises:
            ValueError: a radius below 0, or a bias that allows a division by zero.
        """
        super().__init__(**kwargs)
        if depth_radius < 0:
            raise ValueError(f"Invalid value for `depth_radius`: expected at least 0, got {depth_radius!r}.")
        if bias <= 0:
            raise ValueError(f"Invalid value for `bias`: expected a number above 0, got {bias!r}.")
        self.depth_radius = depth_radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta

    def call(self, inputs: Any) -> Any:
        """Values (..., channels) of the same shape."""
        places = np.arange(inputs.shape[-1])
        near = np.abs(places[:, None] - places) <= self.depth_radius  # a product with it sums over neighbours
        squares = ops.matmul(ops.square(inputs), ops.cast(near, inputs.dtype))
        strength = self.bias + self.alpha * squares
        # The gradient of a general power takes several times as long
        return inputs * (ops.rsqrt(strength) if self.beta == 0.5 else ops.power(strength, -self.beta))

    def get_config(self) -> dict[str, Any]:
        """What the layer was made with."""
        own = {"depth_radius": self.depth_radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("tinybench")
class Convolution(keras.layers.Layer):
    """A 3×3 convolution with ReLU, from weights and operations alone: what `mnist-shallow` shows."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        """Args: how many kernels."""
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernels (3, 3, channels, filters) and the biases."""
        self.kernel = self.add_weight((3, 3, input_shape[-1], self.filters), name="kernel", initializer="he_normal")
        self.bias = self.add_weight((self.filters,), name="bias", initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Images (n, h, w, channels) to (n, h - 2, w - 2, filters)."""
        return ops.relu(ops.conv(inputs, self.kernel, padding="valid") + self.bias)

    def get_config(self) -> dict[str, Any]:
        """What the layer was made with."""
        return {**super().get_config(), "filters": self.filters}
