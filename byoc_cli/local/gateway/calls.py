"""One invocation: its body to the container, its answer to the caller, whole or as it comes (H-20 to H-22, H-45)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from byoc_cli.contract import hosting, invocation
from byoc_cli.contract.invocation import ServiceError
from byoc_cli.local.gateway import eventstream
from byoc_cli.local.gateway.capture import Capture
from byoc_cli.local.gateway.chain import Chain, sendable
from byoc_cli.local.gateway.models import Models
from byoc_cli.local.gateway.refusal import Refused, printable
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.gateway.upstream import LARGE_BYTES, Body, Upstream, Upstreams, read
from byoc_cli.local.progress import Progress


@dataclass
class Call:
    """What goes to the container, and how its answer goes back.

    `framed` is InvokeEndpointWithResponseStream, `whole` InvokeEndpoint, whose answer is complete before it is given;
    the plain path is either, as the container answers.
    """

    request: web.BaseRequest
    headers: Mapping[str, str]
    whole: bool = False
    framed: bool = False
    body: bytes | None = None


class Calls:
    """Makes them; for one event loop."""

    def __init__(
        self,
        settings: Settings,
        upstreams: Upstreams,
        progress: Progress,
        capture: Capture | None,
        models: Models | None,
    ) -> None:
        self._settings = settings
        self._account = settings.account
        self._upstreams = upstreams
        self._progress = progress
        self._capture = capture
        self._models = models
        self._told_large = False
        self._told_uncaptured = False

    async def invoke(self, call: Call) -> web.StreamResponse:
        """Give its answer.

        Raises:
            Refused: it ends in a service error.

        """
        self._check_model(call)
        self._way(call)  # what is refused is refused before its body comes
        body = await self._body(call)
        with self._upstreams.at_work():
            return await self._invoke(call, Chain(self._account, self._way(call)), body)

    async def _invoke(self, call: Call, chain: Chain, body: Body) -> web.StreamResponse:
        clock, settings = time.monotonic, self._settings
        start, begun = clock(), None
        limit = settings.stream_timeout if call.framed else settings.invocation_timeout
        try:
            async with asyncio.timeout(limit) as clocked, self._ask(call, chain, body) as answer:
                await chain.check(answer)
                if call.whole or not (call.framed or answer.headers.get("Transfer-Encoding")):
                    return await self._whole(call, chain, answer)
                # H-45: from here on it is a stream, which has more time (H-20).
                clocked.reschedule(asyncio.get_running_loop().time() + settings.stream_timeout - (clock() - start))
                begun = await _begin(call, answer)
                return await _stream(call, answer, begun)
        except TimeoutError:
            if begun:
                text = f"The model did not end its answer within {settings.stream_timeout:g} seconds."
                return await _broken(call, begun, "ModelInvocationTimeExceeded", text)
            raise Refused(self._late(call, chain, limit)) from None
        except (aiohttp.ClientError, OSError) as error:
            if call.request.transport is None or call.request.transport.is_closing():
                raise ConnectionResetError("the caller went away") from error
            if begun:
                return await _broken(call, begun, "StreamBroken", "The model broke off its answer.")
            raise Refused(chain.failed(error)) from None

    def _ask(self, call: Call, chain: Chain, body: Body) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._models:
            return self._models.invoke(call.body or b"", call.headers)
        return chain.invoke(body, call.headers)

    def _late(self, call: Call, chain: Chain, limit: float) -> ServiceError:
        target = call.headers.get(hosting.TARGET_MODEL_HEADER, "")
        if self._models and self._models.is_loading(target):
            cause = f"model {target} is not loaded after {limit:g} s\nthe load goes on: try again"
            return self._account.not_ready(cause)
        return chain.late(limit)

    # -- for whom it is -----------------------------------------------------------------------------------------------

    def _check_model(self, call: Call) -> None:
        """See that a call names a model where there are many, and only there (H-16, H-40)."""
        targeted = bool(call.headers.get(hosting.TARGET_MODEL_HEADER))
        if self._models and not targeted:
            raise Refused(self._account.no_target(str(uuid.uuid4())))
        if targeted and not self._models:
            raise Refused(self._account.one_model())

    def _way(self, call: Call) -> Sequence[Upstream]:
        """Choose the containers that a call goes through: the one that it names, or all (H-32)."""
        target = call.headers.get(hosting.TARGET_CONTAINER_HEADER, "")
        if not self._settings.direct:
            if target:
                raise Refused(self._account.not_direct())
            return self._upstreams.all
        if not target:
            raise Refused(self._account.no_container(self._settings.hostnames))
        named = [upstream for upstream in self._upstreams.all if upstream.hostname == target]
        if not named:
            raise Refused(self._account.unknown_container(target, self._settings.hostnames))
        return named

    # -- requests -----------------------------------------------------------------------------------------------------

    async def _body(self, call: Call) -> Body:
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
            # Read whole, or as it comes. With many models it may have to be sent twice.
            if length > LARGE_BYTES and self._capture is None and self._models is None:
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
        return sendable(call.body)

    def _tell_large(self, size: int) -> None:
        if size > hosting.OLD_MAX_PAYLOAD_BYTES and not self._told_large:
            self._told_large = True
            self._progress.warn(
                f"a request of {size / 2**20:.1f} MB\n"
                "SageMaker takes 25 MB; its API model and older documents say 6 MB (H-21)",
                "smaller requests, or asynchronous ones: byoc serve --async-output FOLDER",
            )

    # -- answers ------------------------------------------------------------------------------------------------------

    async def _whole(self, call: Call, chain: Chain, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """Give an answer when all of it is there; at most as large as a request may be (H-22)."""
        most = self._settings.max_payload
        body = await read(answer, most + 1)
        if len(body) > most:
            raise Refused(chain.too_large(f"the answer is larger than {most >> 20} MB (H-22)"))
        if self._capture:
            self._write(self._capture, call, body, answer.headers.get("Content-Type", ""))
        return web.Response(status=200, body=body, headers=_returned(answer))

    def _write(self, capture: Capture, call: Call, answer: bytes, answer_type: str) -> None:
        """Capture an invocation (H-70); one that cannot be has its answer all the same."""
        kind, name = call.headers.get("Content-Type", ""), call.headers.get(invocation.INFERENCE_ID_HEADER, "")
        try:
            capture.write(call.body or b"", kind, answer, answer_type, name)
        except OSError as error:
            if not self._told_uncaptured:
                self._told_uncaptured = True
                self._progress.warn(
                    f"an invocation was not captured\n{self._settings.capture}: {error.strerror}",
                    "make room: invocations are answered all the same, and captured when they can be",
                )


async def _begin(call: Call, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = _returned(answer)
    if call.framed:
        headers[invocation.STREAM_CONTENT_TYPE_HEADER] = headers.get("Content-Type", "")
        headers["Content-Type"] = invocation.EVENT_STREAM_TYPE
    response = web.StreamResponse(headers=headers)
    if call.request.version >= aiohttp.HttpVersion11:
        response.enable_chunked_encoding()
    await response.prepare(call.request)
    return response


async def _stream(call: Call, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> web.StreamResponse:
    async for part in answer.content.iter_any():
        await response.write(eventstream.payload_part(part) if call.framed else part)
    await response.write_eof()
    return response


async def _broken(call: Call, response: web.StreamResponse, code: str, text: str) -> web.StreamResponse:
    """End a stream that has begun: with its own kind of error (H-46), or as it ended here, in the middle."""
    if call.framed:
        await response.write(eventstream.stream_error(code, text))
        await response.write_eof()
    elif call.request.transport:
        call.request.transport.close()
    return response


def _returned(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Keep of an answer's headers what gets back (H-17), and add the platform's own."""
    given = answer.headers
    kept = {name: printable(given[name]) for name in invocation.RESPONSE_HEADERS if name in given}
    return kept | {
        invocation.VARIANT_HEADER: invocation.VARIANT,
        invocation.REQUEST_ID_HEADER: str(uuid.uuid4()),
    }
