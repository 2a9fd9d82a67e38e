"""Asynchronous requests: they wait in the order in which they came, some are at work, all leave a file (H-50)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp

from byoc_cli.contract import asynchronous
from byoc_cli.contract.asynchronous import AsyncInferenceConfig, AsyncRequest
from byoc_cli.contract.invocation import Account, ServiceError
from byoc_cli.errors import ByocError
from byoc_cli.local.gateway.chain import Chain
from byoc_cli.local.gateway.refusal import Refused
from byoc_cli.local.gateway.threads import in_thread
from byoc_cli.local.gateway.upstream import Body, Upstreams
from byoc_cli.local.places import Draft, Places, Reader
from byoc_cli.local.progress import Progress

_CHUNK = 1 << 20
_WRITERS = 64  # failures that are written at the same time: thousands may wait when the endpoint ends
_LAST_SECONDS = 10.0  # for failures to be written when the endpoint has ended


class _Failed(Exception):
    """A request ends in a failure: `said` is what its file gets, `hint` what somebody can do."""

    def __init__(self, code: str, said: str, cause: str = "", hint: str = "") -> None:
        super().__init__(said)
        self.said = f"{code}: {said}"
        self.cause = cause
        self.hint = hint

    @staticmethod
    def of(error: ServiceError) -> _Failed:
        """The service's own error."""
        return _Failed(error.code, error.message, error.cause)


class Queue:
    """Sends requests to the containers, so many at once; for one event loop. A `closed` one begins no more."""

    def __init__(
        self, config: AsyncInferenceConfig, account: Account, upstreams: Upstreams, places: Places, progress: Progress
    ) -> None:
        self.closed = False
        self._config = config
        self._account = account
        self._upstreams = upstreams
        self._places = places
        self._progress = progress
        self._waiting: dict[str, tuple[AsyncRequest, asyncio.TimerHandle]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._writers = asyncio.Semaphore(_WRITERS)

    def accept(self, headers: Mapping[str, str], body: bytes) -> AsyncRequest:
        """Let a request wait for its turn, as long as its TTL allows.

        Raises:
            Invalid: it is none.

        """
        request = asynchronous.read(headers, body, self._config, str(uuid.uuid4()))
        timer = asyncio.get_running_loop().call_later(request.ttl, self._expire, request)
        self._waiting[request.id] = request, timer
        self._next()
        return request

    def close(self) -> None:
        """Begin no more: write down of each that waits that it was not begun."""
        self.closed = True
        left = [request for request, _ in self._waiting.values()]
        if left:
            number = f"{len(left):,} asynchronous request{'s' * (len(left) != 1)}"
            self._progress.warn(f"the endpoint ends before {number} could be begun")
        for request in left:
            self._leave(request)
            self._start(self._fail(request, _Failed("InternalServerError", asynchronous.ENDED)))

    async def end(self) -> None:
        """Return when all is written down; what is at work has lost its container."""
        self.close()
        if self._working:
            _, late = await asyncio.wait(self._working, timeout=_LAST_SECONDS)
            if late:
                self._progress.warn(f"{len(late):,} asynchronous requests were broken off, and no file tells of it")
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _next(self) -> None:
        while self._waiting and len(self._working) < self._config.concurrency and not self.closed:
            request, _ = next(iter(self._waiting.values()))
            self._leave(request)
            self._start(self._handle(request))

    def _leave(self, request: AsyncRequest) -> None:
        _, timer = self._waiting.pop(request.id)
        timer.cancel()

    def _expire(self, request: AsyncRequest) -> None:
        self._leave(request)
        self._start(self._fail(request, _Failed("ClientError", asynchronous.expired(request.ttl))))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._working.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._next()

    async def _handle(self, request: AsyncRequest) -> None:
        try:
            source = _Source(request, await self._found(request))
            try:
                await self._invoke(request, source)
            finally:
                source.close()
        except _Failed as failed:
            await self._fail(request, failed)
        except Exception as error:  # noqa: BLE001 - whatever it is, its caller waits for a file
            await self._fail(request, _Failed("InternalServerError", f"{type(error).__name__}: {error}"))

    async def _found(self, request: AsyncRequest) -> tuple[int, Reader | None]:
        if not request.input:
            return len(request.body), None
        try:
            found = await in_thread(partial(self._places.find, request.input))
        except ByocError as error:
            raise _Failed("ClientError", _line(error), hint=error.hint) from error
        if found is None:
            raise _Failed("ClientError", f"there is nothing at {request.input}")
        size, reader = found
        if size > asynchronous.MAX_INPUT_BYTES:
            reader.close()
            raise _Failed("ClientError", asynchronous.too_large(request.input, size))
        return size, reader

    async def _invoke(self, request: AsyncRequest, source: _Source) -> None:
        """Post the input, and write the answer as it comes; it is seen when it is whole."""
        try:
            draft = self._places.draft(request.output)
            try:
                content_type = await self._post(request, source, draft)
                await in_thread(partial(draft.keep, content_type))
            finally:
                draft.drop()
        except ByocError as error:
            raise _Failed("InternalServerError", _line(error), hint=error.hint) from error

    async def _post(self, request: AsyncRequest, source: _Source, draft: Draft) -> str:
        """Give the answer's content type; whatever takes over meanwhile, the containers that began it end it."""
        with self._upstreams.at_work():
            return await self._ask(request, source, draft)

    async def _ask(self, request: AsyncRequest, source: _Source, draft: Draft) -> str:
        headers = {**request.headers, "Content-Length": str(source.size)}
        chain = Chain(self._account, self._upstreams.all)
        try:
            async with asyncio.timeout(request.timeout), chain.invoke(source.body(), headers) as answer:
                await chain.check(answer)
                if answer.content_length is None:
                    said = asynchronous.no_length(chain.container.hostname)
                    raise _Failed("ModelError", said, hint=asynchronous.NO_LENGTH_HINT)
                async for part in answer.content.iter_chunked(_CHUNK):
                    await in_thread(partial(draft.write, part))
        except TimeoutError:
            raise _Failed.of(chain.late(request.timeout)) from None
        except Refused as refused:
            raise _Failed.of(refused.error) from None
        except (aiohttp.ClientError, OSError) as error:
            raise source.failed or _Failed.of(chain.broken(error)) from error
        return answer.headers.get("Content-Type", "")

    async def _fail(self, request: AsyncRequest, failed: _Failed) -> None:
        more = [failed.cause] * bool(failed.cause) + [f"hint: {failed.hint}"] * bool(failed.hint)
        self._progress.log("\n".join([f"the asynchronous request {request.inference_id} failed", failed.said, *more]))
        try:
            async with self._writers:
                await in_thread(partial(self._write, request.failure, f"{failed.said}\n".encode()))
        except ByocError as error:
            self._progress.warn(f"no failure could be written to {request.failure}\n{error.message}", error.hint)

    def _write(self, uri: str, content: bytes) -> None:
        draft = self._places.draft(uri)
        try:
            draft.write(content)
            draft.keep("text/plain")
        except BaseException:
            draft.drop()
            raise


class _Source:
    """A request's body; `failed` says why it could not be read to its end."""

    def __init__(self, request: AsyncRequest, found: tuple[int, Reader | None]) -> None:
        self.size, self._reader = found
        self.failed: _Failed | None = None
        self._request = request

    def body(self) -> Body:
        """Give it as it is read: never more than one piece is in memory."""
        return self._pieces(self._reader) if self._reader else self._request.body

    async def _pieces(self, reader: Reader) -> AsyncIterator[bytes]:
        left = self.size
        while left:
            try:
                piece = await in_thread(partial(reader.read, min(_CHUNK, left)))
            except ByocError as error:
                self.failed = _Failed("ClientError", _line(error), hint=error.hint)
                raise
            if not piece:
                self.failed = _Failed("ClientError", f"{self._request.input} has become shorter while it was read")
                raise self.failed
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """Let go of it."""
        if self._reader:
            with suppress(OSError):
                self._reader.close()


def _line(error: ByocError) -> str:
    return error.message.replace("\n", ": ")
