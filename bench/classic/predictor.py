"""The Flask app of the classic sample: the model is loaded at the first request, each request is one call of it."""

# ruff: noqa: INP001 - not a part of the package: it is copied into an image

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import flask
import numpy as np
import tensorflow as tf

MODEL = Path("/opt/ml/model")


class ScoringService:
    """Holds the model of this process."""

    model: Any = None

    @classmethod
    def get_model(cls) -> Any:
        """Load it if that has not been done yet."""
        if cls.model is None:
            folder = max(path.parent for path in MODEL.rglob("saved_model.pb"))
            cls.model = tf.saved_model.load(str(folder))
        return cls.model

    @classmethod
    def predict(cls, instances: Any) -> dict[str, Any]:
        """Call the signature that TensorFlow Serving would call."""
        outputs = cls.get_model().signatures["serving_default"](tf.constant(np.asarray(instances, np.float32)))
        return {name: value.numpy().tolist() for name, value in outputs.items()}


def ping() -> flask.Response:
    """Healthy if the model can be loaded."""
    health = ScoringService.get_model() is not None
    return flask.Response(response="\n", status=200 if health else 404, mimetype="application/json")


def invocations() -> flask.Response:
    """Answer in TensorFlow Serving's row format."""
    if flask.request.content_type != "application/json":
        return flask.Response(response="This predictor only supports JSON", status=415, mimetype="text/plain")
    outputs = ScoringService.predict(json.loads(flask.request.data.decode("utf-8"))["instances"])
    rows = [dict(zip(outputs, values, strict=True)) for values in zip(*outputs.values(), strict=True)]
    return flask.Response(response=json.dumps({"predictions": rows}), status=200, mimetype="application/json")


app = flask.Flask(__name__)
app.add_url_rule("/ping", view_func=ping)
app.add_url_rule("/invocations", view_func=invocations, methods=["POST"])
