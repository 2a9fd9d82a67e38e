"""The system's word that a file may have changed: it only says when to look, and what is seen then decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

_LOOK_SECONDS = 1.0
_SHARE = 20  # of the time at most one part goes into looking where no event came


class Events:
    """Told by `watchfiles`; where that cannot be (too many folders, a file system without events), by the clock.

    Folders are watched without what is below them: a project may hold a million files that are no source.
    """

    def __init__(self) -> None:
        self._folders: frozenset[Path] = frozenset()
        self._came = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def watch(self, files: Iterable[str]) -> None:
        """Watch the folders that these files are in, and no others."""
        folders = frozenset(folder for file in files if (folder := Path(file).parent).is_dir())
        if folders == self._folders:
            return
        self._end()
        self._folders = folders
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(folders, self._stop), daemon=True)
        self._thread.start()

    def due(self) -> bool:
        """Whether it is time to look: something was told, or nothing for long."""
        if self._came.is_set() or time.monotonic() >= self._next:
            self._came.clear()
            return True
        return False

    def looked(self, seconds: float) -> None:
        """Take note of how long a look took."""
        self._next = time.monotonic() + max(_LOOK_SECONDS, _SHARE * seconds)

    def wait(self, seconds: float) -> None:
        """Wait at most so long for the next event."""
        self._came.wait(seconds)

    def _listen(self, folders: frozenset[Path], stop: threading.Event) -> None:
        import watchfiles  # late: a native extension, and only this needs it

        try:
            for _ in watchfiles.watch(
                *folders, watch_filter=None, debounce=200, step=20, stop_event=stop, recursive=False, rust_timeout=1000
            ):
                self._came.set()
        except (OSError, RuntimeError):  # no more watches to be had, or a folder that has just gone
            return

    def _end(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()
            self._thread = None
