"""The callers' side of the local endpoint: SageMaker's operations on an endpoint, and the plain paths."""

from __future__ import annotations

import uuid

from aiohttp import web

from byoc_cli.contract import asynchronous, hosting, invocation
from byoc_cli.local.gateway.calls import Call, Calls
from byoc_cli.local.gateway.capture import Capture
from byoc_cli.local.gateway.health import Health
from byoc_cli.local.gateway.models import Models
from byoc_cli.local.gateway.queue import Queue
from byoc_cli.local.gateway.refusal import Refused, refusal
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.gateway.upstream import Upstreams
from byoc_cli.local.progress import Progress


class Server:
    """Answers callers; for one event loop."""

    def __init__(
        self,
        settings: Settings,
        upstreams: Upstreams,
        health: Health,
        progress: Progress,
        capture: Capture | None,
        queue: Queue | None,
        models: Models | None,
    ) -> None:
        self._settings = settings
        self._account = settings.account
        self._upstreams = upstreams
        self._health = health
        self._calls = Calls(settings, upstreams, progress, capture, models)
        self._captures = capture is not None
        self._queue = queue
        self._models = models

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._route(request)
        except Refused as refused:
            return refusal(refused.error)
        except ConnectionError:
            if request.transport and not request.transport.is_closing():
                raise
            return web.Response()  # the caller went away: nobody reads it, and it is no error of ours

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == hosting.INVOCATIONS_PATH and request.method == "POST":
            # With a capture the answer is needed whole.
            return await self._invoke(Call(request, _passed(request), whole=self._captures))
        if path == hosting.ASYNC_INVOCATIONS_PATH and request.method == "POST":
            return await self._accept(request)
        if path == hosting.PING_PATH and request.method in {"GET", "POST"}:
            status, reason = await self._upstreams.ping(request.method)
            return web.Response(status=status or 503, text=reason)
        found = invocation.ENDPOINT_PATH.fullmatch(path)
        if found is None or request.method != ("POST" if found[2] else "GET"):
            raise Refused(invocation.unknown_operation(f"{request.method} {path}"))
        if found[1] != self._settings.name:
            raise Refused(self._account.not_found(found[1]))
        return await self._operate(request, found[2])

    async def _operate(self, request: web.BaseRequest, operation: str | None) -> web.StreamResponse:
        """Do what an SDK's operation asks of this endpoint; None is DescribeEndpoint."""
        if not operation:
            return web.json_response(self._description())
        if operation == invocation.ASYNC_INVOCATIONS:
            return await self._accept(request)
        if operation == invocation.INVOCATIONS:
            return await self._invoke(Call(request, _passed(request), whole=True))
        accept = request.headers.get(invocation.STREAM_ACCEPT_HEADER)
        headers = {name: value for name, value in _passed(request).items() if name != "Accept"}
        return await self._invoke(Call(request, headers | ({"Accept": accept} if accept else {}), framed=True))

    def _description(self) -> dict[str, object]:
        said: dict[str, object] = {"EndpointName": self._settings.name, "EndpointStatus": self._health.word}
        if config := self._settings.asynchronous:
            said["AsyncInferenceConfig"] = config.described
        if self._models:
            said["LoadedModels"] = self._models.loaded
        return said

    def _check(self, request: web.BaseRequest, *, asynchronous: bool) -> None:
        if bool(self._queue) != asynchronous:
            raise Refused(self._account.wrong_kind(asynchronous=not asynchronous))
        if not self._health.serving:
            raise Refused(invocation.unavailable("the container is not ready yet"))
        if problem := invocation.header_problem(request.headers):
            raise Refused(problem)

    async def _invoke(self, call: Call) -> web.StreamResponse:
        self._check(call.request, asynchronous=False)
        return await self._calls.invoke(call)

    async def _accept(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take an asynchronous request, and say where its answer will be (H-50)."""
        self._check(request, asynchronous=True)
        assert self._queue
        if self._queue.closed:
            raise Refused(invocation.unavailable("the endpoint is being stopped"))
        try:
            made = self._queue.accept(request.headers, await _inline(request))
        except asynchronous.Invalid as invalid:
            raise Refused(invalid.error) from None
        places = {asynchronous.OUTPUT_HEADER: made.output, asynchronous.FAILURE_HEADER: made.failure}
        headers = places | {invocation.REQUEST_ID_HEADER: str(uuid.uuid4())}
        return web.json_response({"InferenceId": made.inference_id}, status=202, headers=headers)


async def _inline(request: web.BaseRequest) -> bytes:
    """Take what came with an asynchronous request itself, no more than shows that it is too much."""
    body = b""
    while len(body) <= asynchronous.MAX_INLINE_BYTES and (part := await request.content.readany()):
        body += part
    return body


def _passed(request: web.BaseRequest) -> dict[str, str]:
    """Keep of a call's headers what gets through (H-16)."""
    given = request.headers
    return {name: given[name] for name in invocation.REQUEST_HEADERS if name in given}
