"""Which request is sent to /invocations: the user's, or the first of some that the container takes."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from byoc_cli.check.bench import Order
from byoc_cli.check.hosting.asking import Request
from byoc_cli.payload import picture_body
from byoc_cli.project import PredictSettings

_ROW = [5.1, 3.5, 1.4, 0.2]
_LINES = 3
NOTHING = "an empty body"
_BLANK = (b"json", b"csv", b"text/")


def given(order: Order) -> Request | None:
    """Give --sample, None without one."""
    sample = order.sample
    if sample is None:
        return None
    accept = order.project.predict.accept
    return Request(sample.body, sample.content_type, accept, f"{sample.source} ({sample.content_type})")


def guesses(order: Order) -> Iterator[Request]:
    """What a container may take: what the project file tells of, rows of its own data, what examples mostly send."""
    settings = order.project.predict
    found = [*_of_project(settings), *_of_data(order), *_usual()]
    wanted = settings.content_type
    for request in found:
        if not wanted or request.content_type == wanted:
            yield Request(request.body, request.content_type, settings.accept, request.what)


def _of_project(settings: PredictSettings) -> Iterator[Request]:
    if settings.image:
        width, height = settings.image.size or (32, 32)
        body = picture_body(_png(width, height), settings.image, "a grey picture")
        yield Request(body, "application/json", "", "a grey picture, as [predict] image has it")


def _of_data(order: Order) -> Iterator[Request]:
    """Its first rows, without the first column (a label) and with it."""
    for channel in order.training.channels if order.training else ():
        source = Path(channel.source) if channel.source else None
        file = next(iter(sorted(source.rglob("*.csv"))), None) if source and source.is_dir() else source
        if file is None or file.suffix != ".csv" or not file.is_file():
            continue
        with file.open(errors="replace") as lines:
            rows = [line for line in (next(lines, "").strip() for _ in range(_LINES + 1)) if line][1:]
        for what, kept in (
            ("without the first column", [row.partition(",")[2] for row in rows]),
            ("without the last column", [row.rpartition(",")[0] for row in rows]),
            ("whole", rows),
        ):
            if any(kept):
                yield Request(f"{chr(10).join(kept)}\n".encode(), "text/csv", "", f"rows of {file.name}, {what}")


def _usual() -> Iterator[Request]:
    row = ",".join(map(str, _ROW))
    yield Request(f"{row}\n".encode(), "text/csv", "", "a row of four numbers as CSV")
    for content in (
        {"instances": [_ROW]},
        {"inputs": [_ROW]},
        {"inputs": "This is a sentence."},
        {"data": [_ROW]},
        {"features": _ROW},
        {"input": _ROW},
        [_ROW],
        {"instances": [5.1]},
        {"text": "This is a sentence."},
        {"prompt": "This is a sentence."},
    ):
        text = json.dumps(content)
        yield Request(text.encode(), "application/json", "", text)
    yield Request(b"This is a sentence.", "text/plain", "", "a sentence as text/plain")
    for kind in ("image/png", "application/x-image"):
        yield Request(_png(64, 64), kind, "", f"a grey picture as {kind}")


def _png(width: int, height: int) -> bytes:
    """Make a grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x80" * (3 * width)) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def large(request: Request, size: int) -> Request:
    """The same request, so long: with blanks in it or behind it where they mean nothing, else with zeros."""
    kind, body = request.content_type.encode(), request.body
    if is_json(request):  # in it: who reads but the beginning gets half of it
        blanks = b" " * (size - len(body))
        return Request(body[:1] + blanks + body[1:], request.content_type, request.accept)
    filler = b"\n" if any(each in kind for each in _BLANK) else b"\0"
    return Request(body + filler * (size - len(body)), request.content_type, request.accept)


def is_json(request: Request) -> bool:
    """Whether it is an object or a list in JSON."""
    return "json" in request.content_type and request.body[:1] in {b"{", b"["}


def bad(request: Request | None) -> Iterator[tuple[str, Request]]:
    """What a client may get wrong: JSON that breaks off, and what is not of its content type at all."""
    yield "JSON that breaks off", Request(b'{"instances": [[1.0, 2.0, ', "application/json")
    if request and "json" not in request.content_type:
        body = b"\xff\xfe\x00 \x80 no such thing, \x00\n"
        yield f"no {request.content_type}", Request(body, request.content_type, request.accept)
    yield NOTHING, Request(b"", request.content_type if request else "application/json")
