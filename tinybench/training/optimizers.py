"""Keras's optimizers with updates that take one operation per variable."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras
import tensorflow as tf

from tinybench.config.sections import OptimizerConfig

Rate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


def build(config: OptimizerConfig, rate: Rate) -> keras.optimizers.Optimizer:
    """Build the optimizer that a configuration names, with a learning rate or a schedule."""
    if config.name == "sgd":
        return SGD(rate, momentum=config.momentum, nesterov=config.nesterov)
    if config.name == "adamw":
        return AdamW(rate, weight_decay=config.weight_decay)
    return Adam(rate)


class Adam(keras.optimizers.Adam):
    """Keras's Adam with TensorFlow's fused update instead of a dozen operations.

    Formula and state are the same. For a head of a few layers, where the update is a third of a step,
    this makes training a quarter faster (`python -m benchmarks.head`).
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its two moments."""
        index = self._get_variable_index(variable)
        first, second = (_resource(moments[index]) for moments in (self._momentums, self._velocities))
        beta_1, beta_2, rate, epsilon = (
            tf.cast(value, variable.dtype) for value in (self.beta_1, self.beta_2, learning_rate, self.epsilon)
        )
        step = tf.cast(_resource(self.iterations) + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_resource(variable).handle,
            m=first.handle,
            v=second.handle,
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.convert_to_tensor(gradient),
        )


class AdamW(Adam):
    """Keras's AdamW: the step of Adam after the weights have decayed."""

    def __init__(self, learning_rate: Rate, weight_decay: float) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, name="adamw")


class SGD(keras.optimizers.SGD):
    """Keras's SGD with TensorFlow's fused momentum update; formula and state are the same."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its momentum."""
        if not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        rate, momentum = (tf.cast(value, variable.dtype) for value in (learning_rate, self.momentum))
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=_resource(variable).handle,
            accum=_resource(self.momentums[self._get_variable_index(variable)]).handle,
            lr=rate,
            grad=tf.convert_to_tensor(gradient),
            momentum=momentum,
            use_nesterov=self.nesterov,
        )


def _resource(variable: Any) -> Any:
    """Return the TensorFlow variable inside a Keras variable."""
    return variable if isinstance(variable, tf.Variable) else variable.value
