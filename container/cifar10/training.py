"""One training step and its bookkeeping, on one device or on however many a `tf.distribute` strategy has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from checkpoints import Checkpoint, check_shapes
from muon_optimizer import Muon
from resnet_model import CLASS_COUNT, build_resnet
from sagemaker_job import JobError

if TYPE_CHECKING:
    from hyperparameters import Hyperparameters

# Measured on 100 steps: the scales, offsets and dense layer learn best at a fifth of the kernels' rate.
_ADAM_RATIO = 0.2


class Trainer:
    """A network, its optimizer and the running means of its metrics.

    The step is a plain function under `strategy.run`, not `Model.fit`: Keras 3's fit does not work under the
    multi-worker strategy, and here it is no faster.
    """

    def __init__(self, settings: Hyperparameters, strategy: tf.distribute.Strategy | None = None) -> None:
        self.settings = settings
        self.step = 0
        self._strategy = strategy or tf.distribute.get_strategy()
        keras.utils.set_random_seed(settings.seed)
        with self._strategy.scope():
            self.model = build_resnet(settings.resnet_depth, settings.resnet_width)
            schedule = keras.optimizers.schedules.PolynomialDecay(
                settings.learning_rate, settings.train_steps, end_learning_rate=0.0
            )
            self._optimizer = Muon(schedule, settings.momentum, _ADAM_RATIO)
            self._optimizer.build(self.model.trainable_variables)
            self._loss = keras.metrics.Mean()
            self._accuracy = keras.metrics.SparseCategoricalAccuracy()
        self._train_graph = tf.function(self._train_replicas)
        self._evaluate_graph = tf.function(self._evaluate_replicas, reduce_retracing=True)

    def take_step(self, batch: Any) -> None:
        """Take one optimizer step on ([batch, 32, 32, 3] float32 from 0 to 255, [batch] int64)."""
        self._train_graph(batch)
        self.step += 1

    def evaluate_batch(self, batch: Any) -> None:
        """Add a batch of test pictures to the means."""
        self._evaluate_graph(batch)

    def take_means(self) -> tuple[float, float]:
        """Return mean loss and accuracy since the last call, and start anew."""
        loss, accuracy = float(self._loss.result()), float(self._accuracy.result())
        self._loss.reset_state()
        self._accuracy.reset_state()
        return loss, accuracy

    def metrics_line(self) -> str:
        """Return the line that byoc.toml's expressions read: means since the last one."""
        loss, accuracy = self.take_means()
        if not np.isfinite(loss):
            raise JobError(
                f"the loss is {loss} at step {self.step}: give a lower learning-rate than {self.settings.learning_rate}"
            )
        rate = float(self._optimizer.learning_rate)
        return f"step={self.step} loss={loss:.4f} accuracy={accuracy:.4f} learning_rate={rate:.6f}"

    def state(self) -> list[np.ndarray]:
        """Return all variables, for a checkpoint."""
        return [np.asarray(variable) for variable in self._variables()]

    def resume(self, checkpoint: Checkpoint | None) -> None:
        """Take over a checkpoint, if there is one."""
        if checkpoint is None:
            return
        variables = self._variables()
        check_shapes(checkpoint, [tuple(variable.shape) for variable in variables])
        for variable, array in zip(variables, checkpoint.arrays, strict=True):
            variable.assign(array)
        self.step = checkpoint.step
        print(f"resumed from the checkpoint of step {self.step}", flush=True)

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self._optimizer.variables]

    def _train_replicas(self, batch: Any) -> None:
        self._strategy.run(self._train_replica, args=batch)

    def _evaluate_replicas(self, batch: Any) -> None:
        self._strategy.run(self._evaluate_replica, args=batch)

    def _train_replica(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            loss = self._mean_loss(labels, logits, self.settings.label_smoothing)
        variables = self.model.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self._loss.update_state(loss)
        self._accuracy.update_state(labels, logits)

    def _evaluate_replica(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        logits = self.model(images, training=False)
        self._loss.update_state(self._mean_loss(labels, logits, 0.0), sample_weight=tf.shape(labels)[0])
        self._accuracy.update_state(labels, logits)

    def _mean_loss(self, labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
        targets = tf.one_hot(labels, CLASS_COUNT) * (1 - smoothing) + smoothing / CLASS_COUNT
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
