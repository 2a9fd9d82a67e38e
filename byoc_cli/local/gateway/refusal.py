"""Service errors, as a caller gets them."""

from __future__ import annotations

import json
import uuid

from aiohttp import web

from byoc_cli.contract import invocation
from byoc_cli.contract.invocation import ServiceError


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
        headers[invocation.CAUSE_HEADER] = error.cause.replace("\n", ": ")
    if error.hint:
        headers[invocation.HINT_HEADER] = error.hint
    return web.Response(status=error.status, body=json.dumps(error.body).encode(), headers=headers)
