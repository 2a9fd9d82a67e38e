"""Read a container's output beside whatever else goes on."""

from __future__ import annotations

import threading

from byoc_cli.engine.types import Container
from byoc_cli.errors import ByocError, Interrupted
from byoc_cli.local.output import LineMerger, Tail
from byoc_cli.local.progress import Progress


class Follower:
    """Reads a container's output in a thread: to the terminal, with a prefix, and its tail for an error."""

    def __init__(self, container: Container, progress: Progress, prefix: str = "") -> None:
        self.tail = Tail()
        self.ended = False
        self._progress = progress
        self._prefix = prefix
        self._silent = False
        self._container = container
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def ended_within(self, seconds: float) -> bool:
        """Wait at most so long for the last byte; says whether it came."""
        self._thread.join(seconds)
        return self.ended

    def join(self) -> None:
        """Wait for the last byte of a container that has ended."""
        self._thread.join(timeout=5)

    def let_go(self) -> None:
        """Say no more of it: the container goes on without us."""
        self._silent = True

    def _follow(self) -> None:
        merger = LineMerger(self._sink)
        try:
            for stream, chunk in self._container.output():
                merger.feed(stream, chunk)
        except (ByocError, Interrupted, ValueError):
            pass  # the engine went away, or the container was removed under us: the waiting side says so
        merger.close()
        self.ended = True

    def _sink(self, data: bytes) -> None:
        self.tail.feed(data)
        if not self._silent:
            self._progress.output(data, self._prefix)
