"""Layers that Keras does not have; importing this module registers them, so that saved models can be loaded."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("tinybench")
class LocalResponseNormalization(keras.layers.Layer):
    """A layer that divides each channel by the strength of the channels around it, as in AlexNet.

    `x / (bias + alpha * sum(x² of the channels within depth_radius)) ** beta`, with the defaults of
    `tf.nn.local_response_normalization`. Source: Krizhevsky et al., 2012, section 3.3.

    Args:
        depth_radius: Number of channels on each side that contribute.
        bias, alpha, beta: The constants of the formula.

    Raises:
        ValueError: The radius is below 0, or the bias allows a division by zero.
    """

    def __init__(
        self, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, **kwargs: Any
    ) -> None:
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
        """Return the normalised values of (..., channels) inputs, of the same shape."""
        channels = np.arange(inputs.shape[-1])
        # A product with this matrix sums over neighbouring channels
        neighbours = np.abs(channels[:, None] - channels) <= self.depth_radius
        squares = ops.matmul(ops.square(inputs), ops.cast(neighbours, inputs.dtype))
        strength = self.bias + self.alpha * squares
        # The gradient of a general power takes several times as long
        return inputs * (ops.rsqrt(strength) if self.beta == 0.5 else ops.power(strength, -self.beta))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        arguments = {"depth_radius": self.depth_radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **arguments}


@keras.saving.register_keras_serializable("tinybench")
class Convolution(keras.layers.Layer):
    """A 3×3 convolution with ReLU, written with weights and operations alone, for the recipe `mnist-shallow`.

    Args:
        filters: Number of kernels.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the kernels (3, 3, channels, filters) and the biases (filters,)."""
        self.kernel = self.add_weight((3, 3, input_shape[-1], self.filters), name="kernel", initializer="he_normal")
        self.bias = self.add_weight((self.filters,), name="bias", initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Return the features (n, height - 2, width - 2, filters) of (n, height, width, channels) inputs."""
        return ops.relu(ops.conv(inputs, self.kernel, padding="valid") + self.bias)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "filters": self.filters}
