"""Muon: momentum whose updates of the convolution kernels are made orthogonal.

K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. Keras has a Muon, but not
for convolution kernels. In 100 steps it is worth some 13 points of accuracy over AdamW here.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# The quintic iteration x -> ax + bx^3 + cx^5 drives singular values to about 1 in a few steps.
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 3


class Muon(keras.optimizers.Optimizer):  # type: ignore[misc]  # keras has no types
    """Muon for kernels of rank 4, Adam for everything else (scales, offsets, the dense layer)."""

    def __init__(
        self,
        learning_rate: keras.optimizers.schedules.LearningRateSchedule,
        momentum: float,
        adam_ratio: float,
        **kwargs: Any,
    ) -> None:
        """Make the optimizer; Adam's learning rate is `adam_ratio` times the kernels'."""
        super().__init__(learning_rate=learning_rate, name="muon", **kwargs)
        self._momentum = momentum
        self._adam_ratio = adam_ratio

    def build(self, var_list: list[keras.Variable]) -> None:
        """Make a momentum for each variable, and a mean square for those that Adam updates."""
        if self.built:
            return
        super().build(var_list)
        self._momenta = [self.add_variable_from_reference(variable, "momentum") for variable in var_list]
        self._squares = [
            None if _is_kernel(variable) else self.add_variable_from_reference(variable, "mean_square")
            for variable in var_list
        ]

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Update one variable; the base class calls this for each."""
        index = self._get_variable_index(variable)
        square = self._squares[index]
        if square is None:
            self._update_kernel(gradient, variable, self._momenta[index], learning_rate)
        else:
            rate = learning_rate * self._adam_ratio
            self._update_by_adam(gradient, variable, self._momenta[index], square, rate)

    def _update_kernel(self, gradient: Any, variable: keras.Variable, momentum: keras.Variable, rate: Any) -> None:
        """Step along the orthogonalised Nesterov momentum, from a kernel of fixed norm.

        Batch normalisation makes the kernel's norm meaningless to the output; fixed at sqrt(filters), a
        learning rate means the same rotation in every layer and at every step.
        """
        self.assign(momentum, self._momentum * momentum + gradient)
        filters = variable.shape[-1]
        kernel = ops.reshape(variable, (-1, filters))
        kernel = kernel * (filters**0.5 / ops.norm(kernel))
        update = _orthogonalize(ops.reshape(gradient + self._momentum * momentum, (-1, filters)))
        self.assign(variable, ops.reshape(kernel - rate * update, variable.shape))

    def _update_by_adam(
        self,
        gradient: Any,
        variable: keras.Variable,
        momentum: keras.Variable,
        square: keras.Variable,
        rate: Any,
    ) -> None:
        beta_1, beta_2, epsilon = 0.9, 0.99, 1e-7
        step = ops.cast(self.iterations + 1, variable.dtype)
        correction = ops.sqrt(1 - ops.power(beta_2, step)) / (1 - ops.power(beta_1, step))
        self.assign(momentum, beta_1 * momentum + (1 - beta_1) * gradient)
        self.assign(square, beta_2 * square + (1 - beta_2) * ops.square(gradient))
        self.assign_sub(variable, rate * correction * momentum / (ops.sqrt(square) + epsilon))


def _is_kernel(variable: keras.Variable) -> bool:
    return len(variable.shape) == 4


def _orthogonalize(matrix: Any) -> Any:
    """Return the nearest matrix with orthogonal rows (or columns, where these are fewer), roughly."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if tall else matrix
    x = x / (ops.norm(x) + 1e-7)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return ops.transpose(x) if tall else x
