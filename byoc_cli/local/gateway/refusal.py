"""Service errors, as a caller gets them."""

from __future__ import annotations

import json
import re
import uuid

from aiohttp import web

from byoc_cli.contract import invocation
from byoc_cli.contract.invocation import ServiceError

_HEADER_CHARACTERS = 2000  # callers refuse headers of more than 8 KB, or 64


class Refused(Exception):
    """The call ends in a service error."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


def refusal(error: ServiceError) -> web.Response:
    """Say it in SageMaker's words; what happened here stands in headers of its own."""
    headers = {"Content-Type": "application/json", invocation.REQUEST_ID_HEADER: str(uuid.uuid4())}
    if error.code:
        headers[invocation.ERROR_HEADER] = error.code
    if error.cause:
        headers[invocation.CAUSE_HEADER] = _line(error.cause)
    if error.hint:
        headers[invocation.HINT_HEADER] = error.hint
    return web.Response(status=error.status, body=json.dumps(error.body).encode(), headers=headers)


def printable(value: str) -> str:
    """Leave control characters out of a header: HTTP forbids them, and a container may send them all the same."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", value)


def _line(text: str) -> str:
    """Make text fit into a header, also what a container said: no line ends, no control characters, not too long."""
    line = printable(": ".join(text.splitlines()))
    return line if len(line) <= _HEADER_CHARACTERS else f"{line[: _HEADER_CHARACTERS - 1]}…"
