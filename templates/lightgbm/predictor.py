"""The web application that `serve` starts in each worker: a model behind HTTP.

    GET  /ping          200 when it can answer; asked every few seconds, and has to be answered within 2 s
    POST /invocations   text/csv: the features of an example a line; nothing between two commas is a missing value
                        application/json: {"instances": [[17.99, 10.38, null, ...], ...]}

The event loop reads requests and answers /ping; examples are parsed and predicted in threads. So neither a long request
nor one that comes slowly holds up a ping (H-10).
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = Path("/opt/ml/model/model.txt")


class BadRequest(Exception):
    """The caller's mistake: an answer from 400 to 499, never 500 (H-18)."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


# -- requests and answers ---------------------------------------------------------------------------------------------


def read_csv(body: bytes) -> list[list[Any]]:
    """Read an example a line; there is no heading, and no label."""
    try:
        text = body.decode("utf-8-sig").strip()
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except (ValueError, csv.Error) as error:
        raise BadRequest(f"the body is not CSV: {error}") from error


def read_json(body: bytes) -> list[list[Any]]:
    """Read {"instances": [[17.99, 10.38, ...], ...]}."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    rows = content.get("instances") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise BadRequest('the body must be {"instances": [[17.99, 10.38, ...], ...]}')
    return rows


def to_features(rows: Sequence[list[Any]], width: int) -> NDArray[np.float64]:
    """Make an array of [n, width] numbers, NaN where one is missing, or say which example is wrong."""
    if not rows:
        raise BadRequest("there are no examples in the body")
    features = np.empty((len(rows), width))
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise BadRequest(f"example {number} has {len(row)} values: {width} features are wanted, without a label")
        try:
            features[number - 1] = [math.nan if value is None or value == "" else value for value in row]
        except (ValueError, TypeError, OverflowError) as error:
            raise BadRequest(f"example {number}: {error}") from error
    return features


def write_csv(scores: Sequence[float]) -> bytes:
    """Write a probability a line. The last line ends, too: batch transform puts answers one after the other (H-58)."""
    return "".join(f"{score:.6f}\n" for score in scores).encode()


def write_json(scores: Sequence[float]) -> bytes:
    """Write for each example which label is likelier, and the probabilities of both."""
    predictions = [{"label": int(score > 0.5), "probabilities": [1 - score, score]} for score in scores]
    return json.dumps({"predictions": predictions}).encode()


READERS: Mapping[str, Callable[[bytes], list[list[Any]]]] = {
    "text/csv": read_csv,
    "application/json": read_json,
}
WRITERS: Mapping[str, Callable[[Sequence[float]], bytes]] = {"text/csv": write_csv, "application/json": write_json}


def request_type(header: str) -> str:
    """Return the media type of a Content-Type header."""
    kind = header.partition(";")[0].strip().lower()
    if kind not in READERS:
        raise BadRequest(f"Content-Type {kind or 'none'} is not known: send {' or '.join(READERS)}", 415)
    return kind


def answer_type(header: str, kind: str) -> str:
    """Return the media type that an Accept header asks for; where it does not care, that of the request."""
    patterns = [part.partition(";")[0].strip().lower() for part in header.split(",")]
    for pattern in filter(None, patterns if header.strip() else ["*/*"]):
        for known in (kind, *WRITERS):
            if fnmatchcase(known, pattern):
                return known
    raise BadRequest(f"Accept {header} cannot be met: there is {' or '.join(WRITERS)}", 406)


# -- the application --------------------------------------------------------------------------------------------------


def predict(model: lgb.Booster, body: bytes, kind: str, answer: str) -> bytes:
    """Answer the body of a request; runs in a thread."""
    features = to_features(READERS[kind](body), model.num_feature())
    scores = model.predict(features)  # [n]: the probability of the label 1
    return WRITERS[answer](np.asarray(scores).tolist())


async def ping(_request: Request) -> Response:
    """It listens only when the model is loaded, so that it can always say yes (H-11)."""
    return Response()


async def invocations(request: Request) -> Response:
    """Answer one request, and say in the log how long it took."""
    started = time.perf_counter()
    kind = request_type(request.headers.get("content-type", ""))
    answer = answer_type(request.headers.get("accept", ""), kind)
    body = await request.body()
    content = await asyncio.to_thread(predict, request.app.state.model, body, kind, answer)
    print(f"{len(body)} bytes of {kind} answered in {time.perf_counter() - started:.3f} s", flush=True)
    return Response(content, headers={"Content-Type": answer})


async def refuse(_request: Request, error: Exception) -> Response:
    """Answer a caller's mistake in JSON, so that a program can read it."""
    status = error.status if isinstance(error, BadRequest) else 500
    print(f"refused with {status}: {error}", flush=True)
    return JSONResponse({"error": str(error)}, status)


async def no_such_route(request: Request, error: Exception) -> Response:
    """Answer 404 or 405."""
    assert isinstance(error, HTTPException)
    message = f"there is no {request.method} {request.url.path}: {error.detail}"
    return JSONResponse({"error": message}, error.status_code, headers=error.headers)


async def fail(_request: Request, error: Exception) -> Response:
    """Answer our own mistake; the server shows in the log where it is."""
    return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 500)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Load the model before it listens. The folder is read-only (H-04)."""
    app.state.model = load(MODEL)
    yield


def load(path: Path) -> lgb.Booster:
    """Load what `train` saved: text, which is read and not run."""
    model = lgb.Booster(model_file=path)
    model.predict(np.zeros((1, model.num_feature())))  # the first call is the slowest: it is nobody's
    return model


app = Starlette(
    routes=[Route("/ping", ping, methods=["GET", "POST"]), Route("/invocations", invocations, methods=["POST"])],
    exception_handlers={BadRequest: refuse, HTTPException: no_such_route, Exception: fail},
    lifespan=lifespan,
)
