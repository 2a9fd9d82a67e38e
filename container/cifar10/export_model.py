"""The trained network as a SavedModel that TensorFlow Serving, OpenVINO and Python all load."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import keras
import tensorflow as tf
from resnet_model import IMAGE_SHAPE

if TYPE_CHECKING:
    from pathlib import Path


def export_saved_model(model: keras.Model, folder: Path) -> Path:
    """Write version 1 under `folder`, as TensorFlow Serving looks for it (H-76), and return its path.

    Keras' ExportArchive and nothing else: a Keras 3 model saved by `tf.saved_model.save` loads in Python, but
    a C++ session (TensorFlow Serving) then misses its variables.
    """

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.nn.softmax(model(_as_batch(image), training=False))
        return {"probabilities": probabilities, "classes": tf.argmax(probabilities, axis=-1)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve, [tf.TensorSpec(None, tf.float32, name="image")])
    partial = folder / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    version = folder / "1"
    shutil.rmtree(version, ignore_errors=True)
    return partial.rename(version)


def _as_batch(image: tf.Tensor) -> tf.Tensor:
    """Make [n, 32, 32, 3] of that or of one bare picture [32, 32, 3]; other shapes are errors when run.

    The sample's client posts one picture as `instances`, which TensorFlow Serving hands on as [32, 32, 3].
    """
    batch = tf.reshape(image, tf.concat([[-1], tf.shape(image)[-3:]], axis=0))
    return tf.ensure_shape(batch, [None, *IMAGE_SHAPE])
