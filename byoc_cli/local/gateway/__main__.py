"""The process of a detached local endpoint: `python -m byoc_cli.local.gateway FD`.

On stdin it is told its settings, its containers' ids, and then that they are ready. It ends when one of them does, and
stops the others first.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial

from byoc_cli.contract import hosting
from byoc_cli.engine.types import Engine
from byoc_cli.errors import ByocError
from byoc_cli.local.background import side_by_side
from byoc_cli.local.gateway.health import Health
from byoc_cli.local.gateway.loop import serve
from byoc_cli.local.gateway.process import READY
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.progress import Advance, Progress

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


def _connect() -> Engine:
    from byoc_cli.engine.docker_engine import connect  # late: nobody waits for it

    return connect()


def main(fd: int) -> None:
    """Serve on an inherited socket."""
    gc.set_threshold(100_000, 50, 50)  # imports leave nothing to collect
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    listener = socket.socket(fileno=fd)
    settings, containers = sys.stdin.readline(), sys.stdin.readline().split()
    if containers:  # else the one who started it has ended
        asyncio.run(_run(listener, Settings.from_json(settings), containers))
    # A thread may still hold on to the engine.
    os._exit(0)


def stop_others(engine: Engine, containers: Mapping[str, str], ended: str, progress: Progress) -> None:
    """Stop the containers (id to hostname) that one has left by its end; who is being stopped already is left alone."""
    running = [thing.id for thing in engine.things() if thing.id in containers and thing.running]
    others = [each for each in map(engine.container, running) if not each.was_signalled()]
    if others:
        progress.log(f"{containers[ended]} ended: stopping {', '.join(containers[each.id] for each in others)}")
        side_by_side(*(partial(each.stop, hosting.STOP_GRACE_SECONDS) for each in others), abandon=lambda: None)


async def _run(listener: socket.socket, settings: Settings, containers: Sequence[str]) -> None:
    loop, ended, progress = asyncio.get_running_loop(), asyncio.Event(), LogProgress()
    first: queue.Queue[str] = queue.Queue()

    def call(function: Callable[[], object]) -> None:
        loop.call_soon_threadsafe(function)

    def watch(container: str) -> None:
        wait_for_end(_connect, container)
        first.put(container)
        call(ended.set)

    def listening(health: Health) -> None:
        def read() -> None:
            told = sys.stdin.readline().strip() == READY
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            call(health.start if told else ended.set)

        threading.Thread(target=read, daemon=True).start()
        for container in containers:
            threading.Thread(target=watch, args=(container,), daemon=True).start()

    await serve(listener, settings, progress, listening, ended)
    if not first.empty():
        with suppress(ByocError):
            stop_others(_connect(), dict(zip(containers, settings.hostnames, strict=True)), first.get(), progress)


if __name__ == "__main__":
    main(int(sys.argv[1]))
