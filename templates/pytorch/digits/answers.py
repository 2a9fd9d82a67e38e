"""Requests and answers: bytes to pictures, pictures to probabilities, and those to bytes. No HTTP here."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from digits import network
from digits.pictures import PIXELS, SIDE

_AT_ONCE = 1024  # pictures; a request may have 20,000, whose activations would take gigabytes


class BadRequest(Exception):
    """The client's mistake, with the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Model:
    """The model, for many threads.

    A prediction has one core, and there are no more predictions than cores at a time; so they neither wait for each
    other's parts nor take more cores than there are.
    """

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = network.load(folder, self._device)
        self._cores = threading.BoundedSemaphore(len(os.sched_getaffinity(0)))
        self.predict(np.zeros((1, SIDE, SIDE), np.float32))  # the first one takes longer

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of the ten digits, [n, 10], for pictures [n, 8, 8] of 0 to 255."""
        answers = []
        for part in torch.from_numpy(images).split(_AT_ONCE):
            with self._cores, torch.inference_mode():
                answers.append(self._network(part.to(self._device)).softmax(1).cpu())
        probabilities: np.ndarray = torch.cat(answers).numpy()
        return probabilities


def read_request(body: bytes, content_type: str) -> np.ndarray:
    """Return the pictures of a request, [n, 8, 8]; every mistake in it is a BadRequest that names it."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        values = _read_json(body)
    elif kind == "text/csv":
        values = _read_csv(body)
    else:
        raise BadRequest(f"Content-Type {kind or 'none'} is not known: send application/json or text/csv", 415)
    if values.dtype.kind not in "iuf":
        raise BadRequest("a picture has numbers only")
    if values.shape[1:] not in {(SIDE, SIDE), (SIDE, SIDE, 1), (PIXELS,)} or not len(values):
        raise BadRequest(f"the shape is {list(values.shape)}: [n,8,8], [n,8,8,1] or [n,64] is expected, from 0 to 255")
    with np.errstate(over="ignore"):
        images = values.reshape(-1, SIDE, SIDE).astype(np.float32)
    if not np.isfinite(images).all():
        raise BadRequest("a number is not finite")
    return images


def _read_json(body: bytes) -> np.ndarray:
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"this is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("instances"), list):
        raise BadRequest('{"instances": [...]} is expected, a list of pictures')
    try:
        return np.asarray(content["instances"])
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"the pictures are not all of the same form: {error}") from error


def _read_csv(body: bytes) -> np.ndarray:
    try:
        rows = [[float(value) for value in line.split(",")] for line in body.decode().splitlines() if line.strip()]
        return np.asarray(rows)
    except ValueError as error:
        raise BadRequest(f"these are not lines of {PIXELS} numbers with commas: {error}") from error


def write_answer(probabilities: np.ndarray, accept: str) -> tuple[str, bytes]:
    """Return (content type, body): JSON, or CSV with the digit and the ten probabilities in each line."""
    answers = list(zip(probabilities.argmax(1).tolist(), probabilities.tolist(), strict=True))
    if "text/csv" in accept:
        return "text/csv", "".join(",".join(map(str, [digit, *row])) + "\n" for digit, row in answers).encode()
    predictions = [{"digit": digit, "probabilities": row} for digit, row in answers]
    return "application/json", json.dumps({"predictions": predictions}).encode()
