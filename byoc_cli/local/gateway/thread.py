"""A local endpoint in a thread of this process: of a foreground `byoc serve`, of a `byoc predict`."""

from __future__ import annotations

import asyncio
import socket
import threading

from byoc_cli.local.gateway.health import Health
from byoc_cli.local.gateway.loop import serve
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.places import S3Door
from byoc_cli.local.progress import Progress


class ThreadGateway:
    """A `Gateway`."""

    def __init__(self, listener: socket.socket, progress: Progress, s3: S3Door | None = None) -> None:
        self._listener = listener
        self._progress = progress
        self._s3 = s3
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._health: Health | None = None
        self._error: BaseException | None = None
        self._up = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, settings: Settings, container: str) -> None:  # noqa: ARG002 - this process sees the container's end
        self._thread = threading.Thread(target=self._run, args=(settings,), daemon=True)
        self._thread.start()
        self._up.wait()
        if self._error:
            raise self._error

    def _run(self, settings: Settings) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await serve(self._listener, settings, self._progress, self._listening, self._ended, self._s3)

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - raised where the thread was started
            self._error = error
        finally:
            self._loop = None
            self._up.set()

    def _listening(self, health: Health) -> None:
        self._health = health
        self._up.set()

    def ready(self) -> None:
        """Let callers through: the container has passed its first ping."""
        if self._loop and self._health:
            self._loop.call_soon_threadsafe(self._health.start)

    def ending(self) -> None:
        """Say no more of its health: the container is being stopped, and answers what it has begun."""
        if self._loop and self._health:
            self._loop.call_soon_threadsafe(self._health.ending)

    def end(self) -> None:
        """End with what is on its way; returns when the port is free."""
        if loop := self._loop:
            loop.call_soon_threadsafe(self._ended.set)
        if self._thread:
            self._thread.join()
