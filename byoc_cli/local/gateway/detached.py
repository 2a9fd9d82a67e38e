"""The process of a detached local endpoint.

On stdin it is told its settings, its container's id, and then that the container is ready. It ends when the container
does.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from byoc_cli.engine.types import Engine
from byoc_cli.errors import ByocError
from byoc_cli.local.claims import claim
from byoc_cli.local.gateway.health import Health
from byoc_cli.local.gateway.loop import serve
from byoc_cli.local.gateway.process import READY
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.places import S3Door
from byoc_cli.local.progress import Advance

_RETRY_SECONDS = 1.0


class LogProgress:
    """A `Progress` that writes lines with their time to stderr, which is a file."""

    def log(self, text: str) -> None:
        logging.info(text.replace("\n", ": "))

    def warn(self, text: str, hint: str = "") -> None:
        logging.warning(": ".join([*text.splitlines(), *([f"hint: {hint}"] if hint else [])]))

    def output(self, data: bytes, prefix: str = "") -> None:
        """What the container prints is in the engine's log."""

    def bytes_done(self, label: str, total: int | None = None) -> AbstractContextManager[Advance]:
        del label, total  # nothing of an endpoint's has bytes to count
        return nullcontext(lambda _: None)


def wait_for_end(make: Callable[[], Engine], container: str, retry: float = _RETRY_SECONDS) -> None:
    """Return when the container has ended or is gone; an engine that is restarted is asked again after a moment."""
    while True:
        try:
            engine = make()
            if all(thing.id != container or not thing.running for thing in engine.things()):
                return
            engine.container(container).wait()
        except ByocError:
            time.sleep(retry)


def main(fd: int, s3: S3Door) -> None:
    """Serve on an inherited socket."""
    gc.set_threshold(100_000, 50, 50)  # imports leave nothing to collect
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    listener = socket.socket(fileno=fd)
    settings, container = sys.stdin.readline(), sys.stdin.readline().strip()
    if container:  # else the one who started it has ended
        asyncio.run(_run(listener, Settings.from_json(settings), container, s3))
    # A thread may still hold on to the engine.
    os._exit(0)


async def _run(listener: socket.socket, settings: Settings, container: str, s3: S3Door) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def call(function: Callable[[], object]) -> None:
        loop.call_soon_threadsafe(function)

    def watch() -> None:
        from byoc_cli.engine.docker_engine import connect  # late: nobody waits for it

        wait_for_end(connect, container)
        call(ended.set)

    def listening(health: Health) -> None:
        def read() -> None:
            told = sys.stdin.readline().strip() == READY
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            call(health.start if told else ended.set)

        for each in (watch, read):
            threading.Thread(target=each, daemon=True).start()

    # Whoever cleans up sees by the claim that somebody still needs the models.
    with claim(Path(settings.unpacked)) if settings.unpacked else nullcontext():
        await serve(listener, settings, LogProgress(), listening, ended, s3)
