"""One training step and its bookkeeping, on one host or, in step with the others, on one of several."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from checkpoints import Checkpoint, check_shapes
from muon_optimizer import Muon
from resnet_model import CLASS_COUNT, build_resnet
from sagemaker_job import JobError

if TYPE_CHECKING:
    from hosts import Hosts
    from hyperparameters import Hyperparameters

# Measured on 100 steps: the scales, offsets and dense layer learn best at a fifth of the kernels' rate.
_ADAM_RATIO = 0.2


class Trainer:
    """A network, its optimizer and the running means of its metrics.

    The step is a plain function under `strategy.run`, not `Model.fit`: Keras 3's fit does not work under the
    multi-worker strategy, and here it is no faster. Of several hosts each takes its share of a batch, normalises it by
    its own statistics, and applies the sum of all gradients; so weights and optimizer stay the same on all of them.
    What is said to be of all hosts must be called by all, in the same order: it waits for the others.
    """

    def __init__(self, settings: Hyperparameters, hosts: Hosts, strategy: tf.distribute.Strategy | None = None) -> None:
        self.settings = settings
        self.step = 0
        self._hosts = hosts
        self._part = hosts.share(settings.batch_size) / settings.batch_size
        self._strategy = strategy or tf.distribute.get_strategy()
        keras.utils.set_random_seed(settings.seed)
        with self._strategy.scope():
            self.model = build_resnet(settings.resnet_depth, settings.resnet_width)
            schedule = keras.optimizers.schedules.PolynomialDecay(
                settings.learning_rate, settings.train_steps, end_learning_rate=0.0
            )
            self._optimizer = Muon(schedule, settings.momentum, _ADAM_RATIO)
            self._optimizer.build(self.model.trainable_variables)
        # Not of the strategy: the chief evaluates alone.
        self._loss = keras.metrics.Mean()
        self._accuracy = keras.metrics.SparseCategoricalAccuracy()
        self._train_graph = tf.function(self._train_replicas)
        self._evaluate_graph = tf.function(self._evaluate_replicas, reduce_retracing=True)
        self._sum_graph = tf.function(self._sum_replicas)

    def take_step(self, batch: Any) -> None:
        """Take one optimizer step on this host's ([share, 32, 32, 3] float32 from 0 to 255, [share] int64)."""
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
        """Return the line that byoc.toml's expressions read: means of all hosts since the last one."""
        loss, accuracy = (float(mean) for mean in self._sum_of_hosts([mean * self._part for mean in self.take_means()]))
        if not np.isfinite(loss):
            raise JobError(
                f"the loss is {loss} at step {self.step}: give a lower learning-rate than {self.settings.learning_rate}"
            )
        rate = float(self._optimizer.learning_rate)
        return f"step={self.step} loss={loss:.4f} accuracy={accuracy:.4f} learning_rate={rate:.6f}"

    def state(self) -> list[np.ndarray]:
        """Return all variables, for a checkpoint: the same arrays however many hosts there are."""
        return [np.asarray(variable) for variable in self._variables()]

    def resume(self, checkpoint: Checkpoint | None) -> None:
        """Take over the chief's checkpoint, if it has one; the other hosts get it from the chief."""
        if not self.any_host(checkpoint is not None):
            return
        variables = self._variables()
        if checkpoint is not None:
            check_shapes(checkpoint, [tuple(variable.shape) for variable in variables])
            _assign(variables, checkpoint.arrays)
        self._share_out(variables, 1.0 if self._hosts.is_chief else 0.0)
        self.step = int(self._optimizer.iterations.numpy())
        print(f"resumed from the checkpoint of step {self.step}", flush=True)

    def any_host(self, condition: object) -> bool:
        """Whether `condition` is true on any of all hosts."""
        return bool(self._sum_of_hosts([float(bool(condition))])[0])

    def settle_statistics(self) -> None:
        """Give all hosts the mean of their batch normalisations' moving averages, the only variables that differ."""
        self._share_out(self.model.non_trainable_variables, self._part)

    def part_from_hosts(self) -> None:
        """Wait until all hosts are done: TensorFlow would take one that leaves earlier for a lost one."""
        with contextlib.suppress(tf.errors.OpError):  # the chief's last answer may be lost with it; its end is its own
            self.any_host(False)

    def _share_out(self, variables: list[keras.Variable], part: float) -> None:
        """Set variables to the sum of `part` times their value over all hosts."""
        if self._hosts.count > 1:
            parts = [tf.cast(variable.value, tf.float32) * part for variable in variables]
            _assign(variables, self._sum_of_hosts(parts))

    def _sum_of_hosts(self, values: list[Any]) -> list[Any]:
        """Sum numbers or float32 tensors over all hosts."""
        if self._hosts.count == 1:
            return values
        return list(self._sum_graph([tf.convert_to_tensor(value, tf.float32) for value in values]))

    def _sum_replicas(self, tensors: list[tf.Tensor]) -> Any:
        def add(tensors: list[tf.Tensor]) -> Any:
            here = [tf.identity(tensor) for tensor in tensors]  # the reduction wants to know their device
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)

        return self._strategy.run(add, args=(tensors,))

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
            # The optimizer sums the gradients over the hosts before it updates anything.
            part = loss * self._part
        variables = self.model.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(part, variables), variables, strict=True))
        self._loss.update_state(loss)
        self._accuracy.update_state(labels, logits)

    def _evaluate_replica(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        logits = self.model(images, training=False)
        self._loss.update_state(self._mean_loss(labels, logits, 0.0), sample_weight=tf.shape(labels)[0])
        self._accuracy.update_state(labels, logits)

    def _mean_loss(self, labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
        targets = tf.one_hot(labels, CLASS_COUNT) * (1 - smoothing) + smoothing / CLASS_COUNT
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))


def _assign(variables: list[keras.Variable], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
