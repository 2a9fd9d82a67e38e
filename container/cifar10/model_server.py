"""A small stand-in for TensorFlow Serving's REST server: one model, the same paths, the same JSON.

model_server.py --socket /tmp/model.sock --name cifar10 --base /opt/ml/model/cifar10 --version 1
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import uvicorn
from batching import MAX_BATCH, Batcher
from model_files import ServedModel
from predict_api import (
    IMAGE_SHAPE,
    BadRequestError,
    check_content_type,
    decode_request,
    encode_error,
    encode_predictions,
    encode_status,
)
from runtimes import Runtime, load_runtime
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

_JSON = "application/json"


def build_app(model: ServedModel, batcher: Batcher) -> Starlette:
    """Build the application: GET /v1/models/<name> and POST /v1/models/<name>:predict."""

    async def status(_request: Request) -> Response:
        return Response(encode_status(model.version), media_type=_JSON)

    async def predict(request: Request) -> Response:
        try:
            check_content_type(request.headers.get("content-type", ""))
            parsed = decode_request(await request.body())
            predictions = await batcher.predict(parsed.images)
        except BadRequestError as error:
            return Response(encode_error(str(error)), error.status, media_type=_JSON)
        return Response(encode_predictions(predictions, columnar=parsed.columnar), media_type=_JSON)

    async def broken(_request: Request, error: Exception) -> Response:
        traceback.print_exception(error)
        return Response(encode_error(f"{type(error).__name__}: {error}"), 500, media_type=_JSON)

    async def malformed(request: Request, error: Exception) -> Response:
        text = f"Malformed request: {request.method} {request.url.path}"
        return Response(encode_error(text), getattr(error, "status_code", 404), media_type=_JSON)

    path = f"/v1/models/{model.name}"
    routes = [
        route
        for base in (path, f"{path}/versions/{model.version}")
        for route in (Route(f"{base}:predict", predict, methods=["POST"]), Route(base, status, methods=["GET"]))
    ]
    return Starlette(routes=routes, exception_handlers={404: malformed, 405: malformed, Exception: broken})


def warm_up(runtime: Runtime) -> None:
    """Let the runtime make its plans for the usual batch sizes before the first request comes (H-11)."""
    for size in (1, 2, MAX_BATCH):
        runtime.predict(np.zeros((size, *IMAGE_SHAPE), np.float32))


def spare_garbage_collection() -> None:
    """Keep what is loaded by now out of every later collection.

    A request makes about 1,060 lists, so full collections come often; each would walk all of the runtime's
    objects, 0.1 s with TensorFlow.
    """
    gc.collect()
    gc.freeze()


def serve(model: ServedModel, socket: Path) -> None:
    """Load the model, then answer on the Unix socket until SIGTERM; requests in flight are finished (H-07)."""
    started = time.perf_counter()
    runtime = load_runtime(model.folder)
    warm_up(runtime)
    seconds = time.perf_counter() - started
    print(f"model {model.name} version {model.version} loaded by {runtime.name} in {seconds:.2f} s", flush=True)
    app = build_app(model, Batcher(runtime.predict))
    config = uvicorn.Config(app, uds=str(socket), log_level="warning", access_log=False, lifespan="off")
    spare_garbage_collection()
    uvicorn.Server(config).run()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--base", type=Path, required=True, help="folder of version folders")
    parser.add_argument("--version", type=int, required=True)
    options = parser.parse_args()
    try:
        serve(ServedModel(options.name, options.base, options.version), options.socket)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
