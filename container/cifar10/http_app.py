"""The HTTP side of the model server: TensorFlow Serving's REST paths for one model, on Starlette."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from predict_api import (
    BadRequestError,
    PredictRequest,
    check_content_type,
    decode_request,
    encode_error,
    encode_predictions,
    encode_status,
)
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from batching import Batcher
    from model_files import ServedModel
    from starlette.requests import Request

_JSON = "application/json"


_LONG_BODY = 1 << 20  # bytes; some 10 ms to decode


async def _decode(body: bytes) -> PredictRequest:
    """Decode a request, a long one in a thread, so that /ping is answered meanwhile (H-10)."""
    if len(body) < _LONG_BODY:
        return decode_request(body)
    return await asyncio.to_thread(decode_request, body)


def build_app(model: ServedModel, batcher: Batcher) -> Starlette:
    """Build the application: GET /v1/models/<name> and POST /v1/models/<name>:predict."""

    async def status(_request: Request) -> Response:
        return Response(encode_status(model.version), media_type=_JSON)

    async def predict(request: Request) -> Response:
        try:
            check_content_type(request.headers.get("content-type", ""))
            parsed = await _decode(await request.body())
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
