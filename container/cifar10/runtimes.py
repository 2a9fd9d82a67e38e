"""What computes the predictions: OpenVINO reading the SavedModel, or TensorFlow where OpenVINO cannot.

OpenVINO loads in 0.3 s and needs 0.1 GB, TensorFlow takes 2 s and 0.6 GB; both give the same probabilities.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

import numpy as np
from predict_api import IMAGE_SHAPE, INPUT_NAME, SIGNATURE_NAME, Predictions
from quiet_import import without_banner

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RUNTIME_VARIABLE = "MODEL_RUNTIME"  # "openvino" or "tensorflow"; unset: whichever can


class Runtime(Protocol):
    """A loaded model."""

    name: str

    def predict(self, images: NDArray[np.float32]) -> Predictions:
        """Classify pictures [n, 32, 32, 3], RGB from 0 to 255."""
        ...


def load_runtime(folder: Path) -> Runtime:
    """Load the SavedModel in `folder`."""
    wanted = os.environ.get(RUNTIME_VARIABLE, "")
    if wanted == "tensorflow":
        return TensorFlowRuntime(folder)
    try:
        return OpenVinoRuntime(folder)
    except Exception as error:
        if wanted == "openvino":
            raise
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        print(f"OpenVINO cannot read {folder} ({reason[0]}): using TensorFlow", file=sys.stderr, flush=True)
        return TensorFlowRuntime(folder)


class OpenVinoRuntime:
    """OpenVINO on one thread: pictures this small gain nothing from a second one."""

    name = "OpenVINO"

    def __init__(self, folder: Path) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(folder)
        model.reshape({INPUT_NAME: [-1, *IMAGE_SHAPE]})
        options = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",  # never bf16, whatever the CPU offers: same answer everywhere
        }
        self._request = core.compile_model(model, "CPU", options).create_infer_request()

    def predict(self, images: NDArray[np.float32]) -> Predictions:
        """Classify pictures [n, 32, 32, 3], RGB from 0 to 255."""
        result = self._request.infer({INPUT_NAME: np.ascontiguousarray(images)})
        return Predictions(result["probabilities"], result["classes"])


class TensorFlowRuntime:
    """The SavedModel's signature in TensorFlow, on one thread: a second one doubles the time of one picture."""

    name = "TensorFlow"

    def __init__(self, folder: Path) -> None:
        with without_banner():
            import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._constant = tf.constant
        self._loaded = tf.saved_model.load(str(folder))
        self._signature = self._loaded.signatures[SIGNATURE_NAME]

    def predict(self, images: NDArray[np.float32]) -> Predictions:
        """Classify pictures [n, 32, 32, 3], RGB from 0 to 255."""
        result = self._signature(**{INPUT_NAME: self._constant(images)})
        return Predictions(result["probabilities"].numpy(), result["classes"].numpy())
