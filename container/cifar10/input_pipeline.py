"""CIFAR-10 TFRecords as batches for the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import tensorflow as tf
from sagemaker_job import JobError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Batch = tuple[tf.Tensor, tf.Tensor]

_SHUFFLE_BUFFER = 10_000  # records, 31 MB
_DEPTH, _HEIGHT, _WIDTH = 3, 32, 32
_FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


def training_batches(
    paths: Sequence[Path], batch_size: int, seed: int, part: tuple[int, int] = (1, 0)
) -> Iterator[Batch]:
    """Yield ([batch, 32, 32, 3] float32 from 0 to 255, [batch] int64) without end, shuffled and flipped.

    `part` (n, i) takes every n-th record from the i-th on.
    """
    records = tf.data.TFRecordDataset([str(path) for path in paths]).shard(*part)
    batches = records.shuffle(_SHUFFLE_BUFFER, seed=seed).repeat().batch(batch_size, drop_remainder=True).map(_decode)
    return _checked(batches.map(_flip_some).prefetch(2), paths)


def evaluation_batches(paths: Sequence[Path], batch_size: int) -> Iterator[Batch]:
    """Yield every picture once, in the files' order, in the form of `training_batches`."""
    records = tf.data.TFRecordDataset([str(path) for path in paths])
    return _checked(records.batch(batch_size).map(_decode).prefetch(2), paths)


def _checked(batches: tf.data.Dataset, paths: Sequence[Path]) -> Iterator[Batch]:
    """Yield the batches; a file that is broken, or is not CIFAR-10, is a JobError that names it."""
    try:
        yield from batches
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        reason = re.sub(r"\{\{.*?\}\} |\[Op:.*", "", error.message.splitlines()[0]).strip()
        names = ", ".join(path.name for path in paths)
        raise JobError(f"{names} cannot be read as CIFAR-10 TFRecords: {reason}") from error


def _decode(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    examples = tf.io.parse_example(records, _FEATURES)
    pixels = tf.cast(tf.io.decode_raw(examples["image"], tf.uint8), tf.float32)
    planes = tf.unstack(tf.reshape(pixels, [-1, _DEPTH, _HEIGHT, _WIDTH]), axis=1)
    return tf.stack(planes, axis=-1), examples["label"]


def _flip_some(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.image.random_flip_left_right(images), labels
