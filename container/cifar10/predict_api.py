"""TensorFlow Serving's REST predict API for one model: JSON bytes to a picture batch, and results to JSON.

Pure: no server, no runtime. Requests and answers are those of TensorFlow Serving, so that clients cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INPUT_NAME = "image"
SIGNATURE_NAME = "serving_default"
IMAGE_SHAPE = (32, 32, 3)  # height, width, RGB from 0 to 255

_EXPECTED = "expected [n,32,32,3] or one picture [32,32,3] (rows, columns, RGB from 0 to 255)"
# What clients send that have JSON but do not say so: nothing, curl's default, boto3's default.
_UNTOLD_TYPES = {"", "application/x-www-form-urlencoded", "application/octet-stream", "text/plain"}


class BadRequestError(Exception):
    """The client's mistake, with the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class PredictRequest:
    """A batch of pictures and the form in which the client wants the answer."""

    images: NDArray[np.float32]  # [n, 32, 32, 3]
    columnar: bool  # `inputs` -> `outputs`, else `instances` -> `predictions`


@dataclass(frozen=True)
class Predictions:
    """What the model says of a batch."""

    probabilities: NDArray[np.float32]  # [n, 10]
    classes: NDArray[np.int64]  # [n]


def check_content_type(header: str) -> None:
    """Refuse a body that says it is not JSON."""
    kind = header.partition(";")[0].strip().lower()
    if kind not in _UNTOLD_TYPES and not kind.endswith(("/json", "+json")):
        raise BadRequestError(f"Content-Type {kind} is not supported: send application/json", 415)


def decode_request(body: bytes) -> PredictRequest:
    """Read a predict request; every mistake in it is a BadRequestError that names it."""
    if not body:
        raise BadRequestError("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise BadRequestError("the request must be a JSON object with 'instances' or 'inputs'")
    _check_signature(document.get("signature_name", SIGNATURE_NAME))
    if ("instances" in document) == ("inputs" in document):
        missing = "instances" not in document
        raise BadRequestError(
            "Missing 'inputs' or 'instances' key" if missing else "give one of 'inputs' and 'instances', not both"
        )
    if "instances" in document:
        return PredictRequest(_as_batch("instances", _unnamed_rows(document["instances"])), columnar=False)
    return PredictRequest(_as_batch("inputs", _unnamed_columns(document["inputs"])), columnar=True)


def _check_signature(name: object) -> None:
    if not isinstance(name, str):
        raise BadRequestError("'signature_name' key must be a string value")
    if name not in {"", SIGNATURE_NAME}:
        raise BadRequestError(f'Serving signature name: "{name}" not found in signature def')


def _unnamed_rows(instances: object) -> list[Any]:
    """Return the values of `instances`: [value, ...] as it is, [{"image": value}, ...] without the names."""
    if not isinstance(instances, list):
        raise BadRequestError("'instances' must be a list")
    if not instances:
        raise BadRequestError("No values in 'instances' array")
    if not any(isinstance(instance, dict) for instance in instances):
        return instances
    for index, instance in enumerate(instances):
        if not isinstance(instance, dict) or set(instance) != {INPUT_NAME}:
            raise BadRequestError(f"element {index} of 'instances': its keys must be equal to: {INPUT_NAME}")
    return [instance[INPUT_NAME] for instance in instances]


def _unnamed_columns(inputs: object) -> object:
    """Return the value of `inputs`: value as it is, {"image": value} without the name."""
    if not isinstance(inputs, dict):
        return inputs
    if set(inputs) != {INPUT_NAME}:
        raise BadRequestError(f"the keys of 'inputs' must be equal to: {INPUT_NAME}")
    return inputs[INPUT_NAME]


def _as_batch(key: str, values: object) -> NDArray[np.float32]:
    """Make [n, 32, 32, 3] of nested lists; one bare picture, as the AWS sample sends it, is a batch of one."""
    try:
        array = _to_array(values)
    except (ValueError, OverflowError) as error:
        raise BadRequestError(f"'{key}' is not a regular array: its lists differ in length; {_EXPECTED}") from error
    if array.dtype.kind not in "iuf":  # strings, null, true, objects
        raise BadRequestError(f"'{key}' must hold numbers only; {_EXPECTED}")
    if array.shape == IMAGE_SHAPE:
        array = array[np.newaxis]
    if array.shape[1:] != IMAGE_SHAPE or not len(array):
        shape = ",".join(map(str, array.shape))
        raise BadRequestError(f"'{key}' has shape [{shape}], {_EXPECTED}")
    with np.errstate(over="ignore"):
        images = array.astype(np.float32, copy=False)
    if not np.isfinite(images).all():
        raise BadRequestError(f"'{key}' has a number that does not fit into a 32-bit float")
    return images


def _to_array(values: object) -> NDArray[Any]:
    """Convert nested lists; many pictures one by one, because numpy lets no other thread run meanwhile (H-10)."""
    if isinstance(values, list) and len(values) > IMAGE_SHAPE[0]:
        return np.stack([np.asarray(value) for value in values])
    return np.asarray(values)


def encode_predictions(predictions: Predictions, *, columnar: bool) -> bytes:
    """Write the answer: a row for each picture, or a column for each output."""
    if columnar:
        outputs = {"probabilities": predictions.probabilities, "classes": predictions.classes}
        return _dump({"outputs": outputs})
    rows = [
        {"probabilities": row, "classes": index}
        for row, index in zip(predictions.probabilities, predictions.classes.tolist(), strict=True)
    ]
    return _dump({"predictions": rows})


def encode_error(message: str) -> bytes:
    """Write an error as TensorFlow Serving does."""
    return _dump({"error": message})


def encode_status(version: int) -> bytes:
    """Write the model's status: the server answers only once the model is loaded."""
    status = {"error_code": "OK", "error_message": ""}
    versions = [{"version": str(version), "state": "AVAILABLE", "status": status}]
    return _dump({"model_version_status": versions})


def _dump(document: dict[str, Any]) -> bytes:
    encoded: bytes = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return encoded


def concatenate(batches: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Join picture batches of several requests into one."""
    return batches[0] if len(batches) == 1 else np.concatenate(batches)
