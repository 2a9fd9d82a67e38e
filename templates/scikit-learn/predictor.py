"""The web application that `serve` starts in each worker: a model behind HTTP.

    GET  /ping          200 when it can answer; asked every few seconds, and has to be answered within 2 s
    POST /invocations   text/csv: a flower a line, 5.1,3.5,1.4,0.2
                        application/json: {"instances": [[5.1, 3.5, 1.4, 0.2], ...]}

The event loop reads requests and answers /ping; flowers are parsed and predicted in threads. So neither a long request
nor one that comes slowly holds up a ping (H-10).
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.tree import DecisionTreeClassifier

MODEL = Path("/opt/ml/model/model.joblib")
MEASURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")  # in cm


class BadRequest(Exception):
    """The caller's mistake: an answer from 400 to 499, never 500 (H-18)."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


# -- requests and answers ---------------------------------------------------------------------------------------------


def read_csv(body: bytes) -> list[list[Any]]:
    """Read a flower a line; there is no heading."""
    try:
        text = body.decode("utf-8-sig").strip()
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except (ValueError, csv.Error) as error:
        raise BadRequest(f"the body is not CSV: {error}") from error


def read_json(body: bytes) -> list[list[Any]]:
    """Read {"instances": [[5.1, 3.5, 1.4, 0.2], ...]}."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    rows = content.get("instances") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise BadRequest('the body must be {"instances": [[5.1, 3.5, 1.4, 0.2], ...]}')
    return rows


def to_flowers(rows: Sequence[list[Any]]) -> NDArray[np.float64]:
    """Make an array of [n, 4] numbers, or say which flower is wrong."""
    if not rows:
        raise BadRequest("there are no flowers in the body")
    flowers = np.empty((len(rows), len(MEASURES)))
    for number, row in enumerate(rows, 1):
        if len(row) != len(MEASURES):
            raise BadRequest(f"flower {number} has {len(row)} numbers: {', '.join(MEASURES)} are wanted")
        try:
            flowers[number - 1] = row
        except (ValueError, TypeError, OverflowError) as error:
            raise BadRequest(f"flower {number}: {error}") from error
    if not np.isfinite(flowers).all():
        number = int(np.argmin(np.isfinite(flowers).all(axis=1))) + 1
        raise BadRequest(f"flower {number} has a value that is no finite number")
    return flowers


def write_csv(species: Sequence[str], _probabilities: Sequence[Sequence[float]]) -> bytes:
    """Write a species a line. The last line ends, too: batch transform puts answers one after the other (H-58)."""
    return "".join(f"{name}\n" for name in species).encode()


def write_json(species: Sequence[str], probabilities: Sequence[Sequence[float]]) -> bytes:
    """Write each species with the probabilities of all, in the order of the model's classes."""
    pairs = zip(species, probabilities, strict=True)
    return json.dumps({"predictions": [{"species": name, "probabilities": row} for name, row in pairs]}).encode()


READERS: Mapping[str, Callable[[bytes], list[list[Any]]]] = {
    "text/csv": read_csv,
    "application/json": read_json,
}
WRITERS: Mapping[str, Callable[[Sequence[str], Sequence[Sequence[float]]], bytes]] = {
    "text/csv": write_csv,
    "application/json": write_json,
}


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


def predict(model: DecisionTreeClassifier, body: bytes, kind: str, answer: str) -> bytes:
    """Answer the body of a request; runs in a thread."""
    flowers = to_flowers(READERS[kind](body))
    probabilities = model.predict_proba(flowers)  # [n, classes]
    species = model.classes_[probabilities.argmax(axis=1)]
    return WRITERS[answer](species.tolist(), probabilities.tolist())


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


def load(path: Path) -> DecisionTreeClassifier:
    """Load what `train` saved. A pickle runs code as it is read: load only models that you have made."""
    model: Any = joblib.load(path)
    model.predict_proba(np.zeros((1, len(MEASURES))))  # the first call is the slowest: it is nobody's
    return model


app = Starlette(
    routes=[Route("/ping", ping, methods=["GET", "POST"]), Route("/invocations", invocations, methods=["POST"])],
    exception_handlers={BadRequest: refuse, HTTPException: no_such_route, Exception: fail},
    lifespan=lifespan,
)
