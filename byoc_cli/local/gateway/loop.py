"""The event loop of a local endpoint, from its first connection to its last."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from byoc_cli.local.gateway.capture import Capture
from byoc_cli.local.gateway.health import Health
from byoc_cli.local.gateway.models import Models
from byoc_cli.local.gateway.queue import Queue
from byoc_cli.local.gateway.server import Server
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.gateway.upstream import Upstreams
from byoc_cli.local.places import Places, S3Door
from byoc_cli.local.progress import Progress

_LAST_SECONDS = 2.0  # for answers that are on their way when the container has ended
_BACKLOG = 1024
_LOGGER = logging.getLogger("byoc.gateway")
# A caller that does not speak HTTP is answered with 400: there is nothing to mend here.
_LOGGER.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))


async def serve(
    listener: socket.socket,
    settings: Settings,
    progress: Progress,
    listening: Callable[[Health], None],
    ended: asyncio.Event,
    s3: S3Door | None = None,
) -> None:
    """Answer on a bound socket until `ended`; `listening` is given the endpoint's health when callers can come.

    `s3` is asked by asynchronous requests only.
    """
    with closing(Capture(Path(settings.capture))) if settings.capture else nullcontext() as capture:
        async with Upstreams(settings) as upstreams:
            health = Health(upstreams, settings, progress)
            config = settings.asynchronous
            queue = Queue(config, settings.account, upstreams, Places(s3), progress) if config else None
            if queue:
                health.on_ending = queue.close
            models = Models(settings, upstreams.all[0], progress) if settings.models else None
            server = Server(settings, upstreams, health, progress, capture, queue, models)
            # A body goes on as it is; nobody reads an access log.
            connections = web.Server(server.handle, auto_decompress=False, access_log=None, logger=_LOGGER)
            loop = asyncio.get_running_loop()
            accepting = await loop.create_server(connections, sock=listener, backlog=_BACKLOG)
            listening(health)
            await ended.wait()
            if models:
                await models.close()
            # A connection that is just being accepted fails in asyncio when its server is closed, and is left open.
            loop.remove_reader(listener)
            await _turns()
            accepting.close()
            await health.stop()
            connections.pre_shutdown()
            await connections.shutdown(_LAST_SECONDS)
            if queue:
                await queue.end()
            await _turns()


async def _turns() -> None:
    """Let the loop finish what it has begun with connections: accepting them, closing them."""
    for _ in range(3):
        await asyncio.sleep(0)
