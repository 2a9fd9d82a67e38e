"""A door between byoc and the engine: a test can be told who passes, hold somebody up, and slam it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SOCKET = "/var/run/docker.sock"
_PIECE = 1 << 16


class Door:
    """Hands on bytes, both ways, at `address`, which is a DOCKER_HOST."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix://{folder}/d.sock"
        self._behind = os.environ.get("DOCKER_HOST", f"unix://{_SOCKET}").removeprefix("unix://")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/d.sock")
        self._listener.listen()
        self._open: set[socket.socket] = set()
        self._calls: list[tuple[re.Pattern[bytes], Callable[[], object]]] = []
        self._lock = threading.Lock()
        self._shut = False
        threading.Thread(target=self._listen, daemon=True).start()

    def before(self, request: str, call: Callable[[], object]) -> None:
        """Call before the first request whose first line matches is handed on; it waits."""
        self._calls.append((re.compile(request.encode()), call))

    def slam(self) -> None:
        """Cut all connections, and take no new ones: the engine is gone."""
        with self._lock:
            self._shut = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while True:
            try:
                front, _ = self._listener.accept()
            except OSError:
                return
            back = socket.socket(socket.AF_UNIX)
            back.connect(self._behind)
            with self._lock:
                self._open |= {front, back}
            for source, target in ((front, back), (back, front)):
                threading.Thread(target=self._hand_on, args=(source, target, source is front), daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if asks:
                    self._look(piece)
                if self._shut:
                    break
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _look(self, piece: bytes) -> None:
        # The head of a request comes in a piece of its own: http.client sends it at once.
        line = piece.partition(b"\r\n")[0]
        for pattern, call in list(self._calls):
            with self._lock:
                first = pattern.search(line) is not None and (pattern, call) in self._calls
                if first:
                    self._calls.remove((pattern, call))
            if first:
                call()


@contextmanager
def opened() -> Iterator[Door]:
    """Put one in front of the engine that docker-py finds."""
    folder = Path(tempfile.mkdtemp(prefix="d-"))  # short: a socket's path has 107 characters at most
    door = Door(folder)
    try:
        yield door
    finally:
        door.slam()
        for each in door._open:
            each.close()
        shutil.rmtree(folder)
