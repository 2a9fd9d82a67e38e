"""The callers' side of the local endpoint: InvokeEndpoint and InvokeEndpointWithResponseStream, and the plain paths."""

from __future__ import annotations

import asyncio
import io
import json
import time
import uuid
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from byoc_cli.contract import asynchronous, hosting, invocation
from byoc_cli.contract.invocation import ServiceError
from byoc_cli.local.gateway import eventstream
from byoc_cli.local.gateway.capture import Capture
from byoc_cli.local.gateway.health import Health
from byoc_cli.local.gateway.models import ModelFailed, Models
from byoc_cli.local.gateway.queue import Queue
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.gateway.upstream import ERROR_BYTES, Body, Upstream, read, why
from byoc_cli.local.progress import Progress

_READ_AT_ONCE = 1 << 20  # a request up to this size is read whole; a larger one goes on to the container as it comes


class Refused(Exception):
    """The call ends in a service error."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass
class _Call:
    """One invocation on its way: what goes to the container, and how its answer goes back.

    `framed` is InvokeEndpointWithResponseStream, `whole` InvokeEndpoint, whose answer is complete before it is given;
    the plain path is either, as the container answers.
    """

    request: web.BaseRequest
    headers: Mapping[str, str]
    whole: bool = False
    framed: bool = False
    body: bytes | None = None


class Server:
    """Answers callers; for one event loop."""

    def __init__(
        self,
        settings: Settings,
        upstream: Upstream,
        health: Health,
        progress: Progress,
        capture: Capture | None,
        queue: Queue | None,
        models: Models | None,
    ) -> None:
        self._settings = settings
        self._account = settings.account
        self._upstream = upstream
        self._health = health
        self._progress = progress
        self._capture = capture
        self._queue = queue
        self._models = models
        self._told_large = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._route(request)
        except Refused as refused:
            return _refusal(refused.error)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == hosting.INVOCATIONS_PATH and request.method == "POST":
            # With a capture the answer is needed whole.
            return await self._invoke(_Call(request, _passed(request), whole=self._capture is not None))
        if path == hosting.ASYNC_INVOCATIONS_PATH and request.method == "POST":
            return await self._accept(request)
        if path == hosting.PING_PATH and request.method in {"GET", "POST"}:
            status, reason = await self._upstream.ping(request.method)
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
            return await self._invoke(_Call(request, _passed(request), whole=True))
        accept = request.headers.get(invocation.STREAM_ACCEPT_HEADER)
        headers = {name: value for name, value in _passed(request).items() if name != "Accept"}
        return await self._invoke(_Call(request, headers | ({"Accept": accept} if accept else {}), framed=True))

    def _description(self) -> dict[str, object]:
        said: dict[str, object] = {"EndpointName": self._settings.name, "EndpointStatus": self._health.word}
        if config := self._settings.asynchronous:
            said["AsyncInferenceConfig"] = config.described
        if self._models:
            said["LoadedModels"] = self._models.loaded
        return said

    def _check_call(self, request: web.BaseRequest, *, asynchronous: bool) -> None:
        if bool(self._queue) != asynchronous:
            raise Refused(self._account.wrong_kind(asynchronous=not asynchronous))
        if not self._health.serving:
            raise Refused(invocation.unavailable("the container is not ready yet"))
        if problem := invocation.header_problem(request.headers):
            raise Refused(problem)

    async def _accept(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take an asynchronous request, and say where its answer will be (H-50)."""
        self._check_call(request, asynchronous=True)
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

    async def _invoke(self, call: _Call) -> web.StreamResponse:
        self._check_call(call.request, asynchronous=False)
        self._check_target(call)
        body = await self._body(call)
        clock, settings = time.monotonic, self._settings
        start, begun = clock(), None
        limit = settings.stream_timeout if call.framed else settings.invocation_timeout
        try:
            async with asyncio.timeout(limit) as clocked, self._ask(call, body) as answer:
                await self._check(answer)
                if call.whole or not (call.framed or answer.headers.get("Transfer-Encoding")):
                    return await self._whole(call, answer)
                # H-45: from here on it is a stream, which has more time (H-20).
                clocked.reschedule(asyncio.get_running_loop().time() + settings.stream_timeout - (clock() - start))
                begun = await self._begin(call, answer)
                return await self._stream(call, answer, begun)
        except TimeoutError:
            if begun:
                text = f"The model did not end its answer within {settings.stream_timeout:g} seconds."
                return await _broken(call, begun, "ModelInvocationTimeExceeded", text)
            raise Refused(self._late(call, limit)) from None
        except ModelFailed as failed:
            raise Refused(failed.error) from failed
        except (aiohttp.ClientError, OSError) as error:
            if call.request.transport is None or call.request.transport.is_closing():
                raise ConnectionResetError("the caller went away") from error
            if begun:
                return await _broken(call, begun, "StreamBroken", "The model broke off its answer.")
            raise Refused(self._failed(error)) from None

    def _ask(self, call: _Call, body: Body) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._models:
            return self._models.invoke(call.body or b"", call.headers)
        return self._upstream.invoke(body, call.headers)

    def _check_target(self, call: _Call) -> None:
        """See that a call names a model where there are many, and only there (H-16, H-40)."""
        targeted = bool(call.headers.get(hosting.TARGET_MODEL_HEADER))
        if self._models and not targeted:
            raise Refused(self._account.no_target(str(uuid.uuid4())))
        if targeted and not self._models:
            raise Refused(self._account.one_model())

    def _late(self, call: _Call, limit: float) -> ServiceError:
        target = call.headers.get(hosting.TARGET_MODEL_HEADER, "")
        if self._models and self._models.is_loading(target):
            cause = f"model {target} is not loaded after {limit:g} s\nthe load goes on: try again"
            return self._account.not_ready(cause)
        return self._account.timed_out(limit)

    def _failed(self, error: Exception) -> ServiceError:
        if isinstance(error, aiohttp.ClientConnectorError):
            return invocation.unavailable(why(error))
        return self._account.no_answer(why(error))

    # -- requests -----------------------------------------------------------------------------------------------------

    async def _body(self, call: _Call) -> Body:
        """Take a request's body, of limited size (H-21), whose length the container is always told."""
        request, most = call.request, self._settings.max_payload
        length = request.content_length
        if (length or 0) > most:
            raise Refused(invocation.too_large(most))
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        if length is not None:
            self._tell_large(length)
            # With many models it may have to be sent twice.
            if length > _READ_AT_ONCE and self._capture is None and self._models is None:
                call.headers = {**call.headers, "Content-Length": str(length)}
                return request.content.iter_any()
        parts, size = [], 0
        while part := await request.content.readany():
            size += len(part)
            if size > most:
                raise Refused(invocation.too_large(most))
            parts.append(part)
        if length is None:
            self._tell_large(size)
        call.body = b"".join(parts)
        # The loop is not held by one large write.
        return io.BytesIO(call.body) if size > _READ_AT_ONCE else call.body

    def _tell_large(self, size: int) -> None:
        if size > hosting.OLD_MAX_PAYLOAD_BYTES and not self._told_large:
            self._told_large = True
            self._progress.warn(
                f"a request of {size / 2**20:.1f} MB\n"
                "SageMaker takes 25 MB; its API model and older documents say 6 MB (H-21)",
                "smaller requests, or asynchronous ones: byoc serve --async-output FOLDER",
            )

    # -- answers ------------------------------------------------------------------------------------------------------

    async def _check(self, answer: aiohttp.ClientResponse) -> None:
        """Make a ModelError of an answer that is not 2xx (H-18)."""
        if 200 <= answer.status < 300:
            return
        try:
            text = (await read(answer, ERROR_BYTES)).decode(errors="replace")
            error = self._account.model_error(answer.status, text)
        except aiohttp.ClientPayloadError:
            error = self._account.model_error(answer.status, "", loaded=False)
        raise Refused(error)

    async def _whole(self, call: _Call, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """Give an answer when all of it is there; at most as large as a request may be (H-22)."""
        most = self._settings.max_payload
        body = await read(answer, most + 1)
        if len(body) > most:
            cause = f"the answer is larger than {most >> 20} MB (H-22)"
            raise Refused(self._account.model_error(413, "", loaded=False, cause=cause))
        if self._capture:
            self._capture.write(
                call.body or b"",
                call.headers.get("Content-Type", ""),
                body,
                answer.headers.get("Content-Type", ""),
                call.headers.get("X-Amzn-SageMaker-Inference-Id", ""),
            )
        return web.Response(status=200, body=body, headers=_returned(answer))

    async def _begin(self, call: _Call, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        headers = _returned(answer)
        if call.framed:
            headers[invocation.STREAM_CONTENT_TYPE_HEADER] = headers.get("Content-Type", "")
            headers["Content-Type"] = invocation.EVENT_STREAM_TYPE
        response = web.StreamResponse(headers=headers)
        if call.request.version >= aiohttp.HttpVersion11:
            response.enable_chunked_encoding()
        await response.prepare(call.request)
        return response

    @staticmethod
    async def _stream(call: _Call, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> web.StreamResponse:
        async for part in answer.content.iter_any():
            await response.write(eventstream.payload_part(part) if call.framed else part)
        await response.write_eof()
        return response


async def _broken(call: _Call, response: web.StreamResponse, code: str, text: str) -> web.StreamResponse:
    """End a stream that has begun: with its own kind of error (H-46), or as it ended here, in the middle."""
    if call.framed:
        await response.write(eventstream.stream_error(code, text))
        await response.write_eof()
    elif call.request.transport:
        call.request.transport.close()
    return response


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


def _returned(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Keep of an answer's headers what gets back (H-17), and add the platform's own."""
    given = answer.headers
    kept = {name: given[name] for name in invocation.RESPONSE_HEADERS if name in given}
    return kept | {
        invocation.VARIANT_HEADER: invocation.VARIANT,
        invocation.REQUEST_ID_HEADER: str(uuid.uuid4()),
    }


def _refusal(error: ServiceError) -> web.Response:
    headers = {"Content-Type": "application/json", invocation.REQUEST_ID_HEADER: str(uuid.uuid4())}
    if error.code:
        headers[invocation.ERROR_HEADER] = error.code
    if error.cause:
        headers[invocation.CAUSE_HEADER] = error.cause.replace("\n", ": ")
    if error.hint:
        headers[invocation.HINT_HEADER] = error.hint
    return web.Response(status=error.status, body=json.dumps(error.body).encode(), headers=headers)
