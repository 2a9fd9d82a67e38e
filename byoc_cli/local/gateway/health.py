"""Pings for as long as an endpoint lives; what changes is said once (H-10, H-13, H-24)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from byoc_cli.contract import hosting
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.gateway.upstream import Upstream
from byoc_cli.local.progress import Progress


class Health:
    """Whether the container passes its pings; `serving` is False until somebody says that it is ready.

    `on_ending` is called when the container is about to be stopped.
    """

    def __init__(self, upstream: Upstream, settings: Settings, progress: Progress) -> None:
        self.serving = False
        self.healthy = True
        self.on_ending: Callable[[], object] = bool
        self._quiet = False
        self._slow_to_accept = False
        self._upstream = upstream
        self._interval = settings.ping_interval
        self._progress = progress
        self._task: asyncio.Task[None] | None = None

    @property
    def word(self) -> str:
        """The endpoint's state in one word."""
        return "Unhealthy" if not self.healthy else "InService" if self.serving else "Creating"

    def start(self) -> None:
        """Begin: the container has passed its first ping."""
        if not self.serving:
            self.serving = True
            self._task = asyncio.get_running_loop().create_task(self._watch())

    def ending(self) -> None:
        """Say no more: a container that stops need not answer."""
        self._quiet = True
        self.on_ending()

    async def stop(self) -> None:
        """Ping no more."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()  # the one that made it ready was now
        while True:
            due = max(due + self._interval, clock())
            await asyncio.sleep(due - clock())
            self._saw(*await self._upstream.ping())

    def _saw(self, status: int, why: str) -> None:
        healthy = status == 200
        if healthy != self.healthy and not self._quiet:
            if healthy:
                self._progress.log("the endpoint is healthy again: /ping answers 200")
            else:
                seen = why or f"/ping answers {status}, not 200"
                self._progress.warn(
                    f"the endpoint is unhealthy\n{seen}",
                    "answer /ping within 2 s at any time, also while an invocation runs (H-10)",
                )
        self.healthy = healthy
        if self._upstream.accept_seconds > hosting.ACCEPT_SECONDS and not self._slow_to_accept:
            self._slow_to_accept = True
            self._progress.warn(
                f"the container took {self._upstream.accept_seconds * 1e3:.0f} ms to accept a connection",
                f"SageMaker waits {hosting.ACCEPT_SECONDS * 1e3:.0f} ms (H-13)",
            )
