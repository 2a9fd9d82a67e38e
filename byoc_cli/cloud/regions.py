"""The same in several regions at once: one that fails does not stop, and does not hide, another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from byoc_cli.errors import ByocError

T = TypeVar("T")
_GRACE_SECONDS = 10.0


class Stop:
    """Tells threads to end: signals reach the main thread alone."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Let every `check` and `sleep` end."""
        self._event.set()

    def check(self) -> None:
        """Look whether to go on.

        Raises:
            ByocError: no.

        """
        if self._event.is_set():
            raise ByocError("interrupted")

    def sleep(self, seconds: float) -> None:
        """Sleep, but not through the end."""
        self._event.wait(seconds)
        self.check()


class _Worker(threading.Thread, Generic[T]):
    """Runs one region, and keeps what came of it; a daemon: what hangs does not keep the process."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self.result: T | ByocError | None = None
        self.bug: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._work()
        except ByocError as error:
            self.result = error
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self.bug = error


def side_by_side(regions: Sequence[str], one: Callable[[str, Stop], T]) -> dict[str, T | ByocError]:
    """Do `one(region, stop)` in every region; gives each one's result or error.

    An interrupt tells all to stop, gives them a moment to put away what they have begun, and is passed on.
    """
    stop = Stop()
    workers = {region: _Worker(partial(one, region, stop), region) for region in regions}
    for worker in workers.values():
        worker.start()
    try:
        for worker in workers.values():
            worker.join()
    except BaseException:
        stop.set()
        deadline = time.monotonic() + _GRACE_SECONDS
        for worker in workers.values():
            worker.join(max(0.0, deadline - time.monotonic()))
        raise
    results = {}
    for region, worker in workers.items():
        if worker.bug is not None:
            raise worker.bug
        assert worker.result is not None
        results[region] = worker.result
    return results
