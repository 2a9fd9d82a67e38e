"""The container's side of the local endpoint: invocations over connections that stay open, pings over new ones."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import aiohttp

from byoc_cli.contract import hosting
from byoc_cli.local.gateway.settings import Settings

# Servers close connections on which nothing happens, some after 2 s (gunicorn), and one that is just being closed would
# cost a request. One that is told to stop may wait for all to be closed (H-07).
_IDLE_SECONDS = 1.0
# What an HTTP library adds of itself, and SageMaker does not (H-16).
_NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_HEADER_BYTES = 64 * 1024
ERROR_BYTES = 64 * 1024  # of an answer that is none

Body = bytes | io.BytesIO | AsyncIterator[bytes]


class Upstream:
    """Talks to one container; for one event loop.

    `accept_seconds` is what the slowest connection took so far (H-13).
    """

    def __init__(self, settings: Settings) -> None:
        self.accept_seconds = 0.0
        self._ping_timeout = settings.ping_timeout
        self._base = f"http://{settings.upstream}"
        self._invocations = self._session(
            # All come at the same time, none is held back (H-25).
            aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS)
        )
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(self._connecting)
        trace.on_connection_create_end.append(self._connected)
        self._pings = self._session(aiohttp.TCPConnector(limit=0, force_close=True), trace_configs=[trace])

    @staticmethod
    def _session(connector: aiohttp.TCPConnector, **more: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_ADDED,
            timeout=aiohttp.ClientTimeout(total=None),
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            **more,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._invocations.close()
        await self._pings.close()

    @asynccontextmanager
    async def invoke(
        self, body: Body, headers: Mapping[str, str], path: str = hosting.INVOCATIONS_PATH
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Post to /invocations, or to a model's own path; the caller limits the time, and reads the answer as it comes.

        Raises:
            aiohttp.ClientError: nothing is there, or it closed the connection.

        """
        async with self.ask("POST", path, data=body, headers=headers) as answer:
            yield answer

    def ask(self, method: str, path: str, **more: Any) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Ask the container for anything; the caller limits the time."""
        return self._invocations.request(method, self._base + path, allow_redirects=False, **more)

    async def ping(self, method: str = "GET") -> tuple[int, str]:
        """Ask /ping once: (status, ""), or (0, why not) after 2 s at most (H-10)."""
        try:
            async with (
                asyncio.timeout(self._ping_timeout),
                self._pings.request(
                    method,
                    self._base + hosting.PING_PATH,
                    headers={"User-Agent": hosting.PING_USER_AGENT},
                    allow_redirects=False,
                ) as answer,
            ):
                return answer.status, ""
        except TimeoutError:
            return 0, f"no answer within {self._ping_timeout:g} s"
        except aiohttp.ClientConnectorError:
            return 0, "nothing answers on the port"
        except (aiohttp.ClientError, OSError) as error:
            return 0, why(error)

    async def _connecting(self, _: object, context: SimpleNamespace, __: object) -> None:
        context.start = asyncio.get_running_loop().time()

    async def _connected(self, _: object, context: SimpleNamespace, __: object) -> None:
        self.accept_seconds = max(self.accept_seconds, asyncio.get_running_loop().time() - context.start)


def why(error: BaseException) -> str:
    """Say what a container did wrong, for people."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return "nothing answers on the container's port"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the container does not speak HTTP\n{error.message}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the container broke off in the middle of its answer"
    return "the container closed the connection without an answer"


async def read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Read an answer, or its first `most` bytes."""
    length = answer.content_length
    if length is not None and length <= most:
        return await answer.read()
    parts, size = [], 0
    while size < most and (part := await answer.content.readany()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:most]
