"""A request's way through an endpoint's containers: the answer of one is the request of the next (H-32)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp

from byoc_cli.contract import hosting, invocation
from byoc_cli.contract.invocation import Account, ServiceError
from byoc_cli.local.gateway.refusal import Refused
from byoc_cli.local.gateway.upstream import ERROR_BYTES, LARGE_BYTES, Body, Upstream, read, why


class Chain:
    """The way of one request; `container` is who has it now, also when it has failed there."""

    def __init__(self, account: Account, way: Sequence[Upstream]) -> None:
        self.container = way[0]
        self._account = account
        self._way = way

    @asynccontextmanager
    async def invoke(self, body: Body, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Give the last container's answer, whatever it is; the caller limits the time.

        Raises:
            Refused: one before the last answers with an error, or too much.
            aiohttp.ClientError: nothing is there, or it closed the connection.

        """
        sent = {name: value for name, value in headers.items() if name != "Accept" or len(self._way) == 1}
        for index, upstream in enumerate(self._way):
            self.container = upstream
            async with self.container.invoke(body, sent) as answer:
                if index == len(self._way) - 1:
                    yield answer
                    return
                await self.check(answer)
                body = sendable(await self._between(answer))
                # What the caller wants back is the last container's business.
                unwanted = {"Content-Length", "Content-Type", *(["Accept"] if index < len(self._way) - 2 else [])}
                sent = {name: value for name, value in headers.items() if name not in unwanted}
                if kind := answer.headers.get("Content-Type"):
                    sent["Content-Type"] = kind

    async def check(self, answer: aiohttp.ClientResponse) -> None:
        """See that an answer is 2xx.

        Raises:
            Refused: it is a ModelError (H-18).

        """
        if 200 <= answer.status < 300:
            return
        try:
            text = (await read(answer, ERROR_BYTES)).decode(errors="replace")
        except aiohttp.ClientPayloadError:
            raise Refused(self._error(answer.status, "", loaded=False)) from None
        raise Refused(self._error(answer.status, text))

    def too_large(self, cause: str) -> ServiceError:
        """An answer that SageMaker does not take (H-22, H-32)."""
        return self._error(413, "", loaded=False, cause=cause)

    def late(self, limit: float) -> ServiceError:
        """No answer in time (H-20)."""
        return self._account.timed_out(limit, self.container.hostname)

    def broken(self, error: Exception) -> ServiceError:
        """The container closed the connection, or does not speak HTTP."""
        return self._account.no_answer(why(error, self.container.who), self.container.hostname)

    def failed(self, error: Exception) -> ServiceError:
        """Nothing is there, or what is there broke the connection."""
        if isinstance(error, aiohttp.ClientConnectorError):
            return invocation.unavailable(why(error, self.container.who))
        return self.broken(error)

    def _error(self, status: int, text: str, *, loaded: bool = True, cause: str = "") -> ServiceError:
        return self._account.model_error(status, text, container=self.container.hostname, loaded=loaded, cause=cause)

    async def _between(self, answer: aiohttp.ClientResponse) -> bytes:
        body = await read(answer, hosting.BETWEEN_BYTES + 1)
        if len(body) > hosting.BETWEEN_BYTES:
            cause = (
                f"the answer of {self.container.who} is larger than 5 MB\n"
                "SageMaker hands no more than that to the next container (H-32)"
            )
            raise Refused(self.too_large(cause))
        return body


def sendable(body: bytes) -> Body:
    """Keep the loop from being held by one large write."""
    return io.BytesIO(body) if len(body) > LARGE_BYTES else body
