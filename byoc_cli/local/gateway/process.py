"""A local endpoint in a process of its own: of a detached endpoint, whose byoc has ended."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from byoc_cli.errors import ByocError
from byoc_cli.local.gateway import status
from byoc_cli.local.gateway.settings import Settings

READY = "ready"
_UP_SECONDS = 30.0
_KEPT_SECONDS = 7 * 86_400


class Gateway(Protocol):
    """A local endpoint, as who started it sees it."""

    def begin(self, settings: Settings, container: str) -> None:
        """Stand before the container of that id; callers are told that it is not ready."""

    def ready(self) -> None:
        """Let callers through: the container has passed its first ping."""

    def ending(self) -> None:
        """Say no more of its health: the container is being stopped."""

    def end(self) -> None:
        """End it; returns when the port is free."""


Launch = Callable[[socket.socket, Path], Gateway]
"""(bound socket, file for what it says) to a local endpoint that outlives this process."""


class ProcessGateway:
    """A `Gateway` that ends when its container does, and until it is `ready` also when this process does.

    Of this process it has the bound socket, and a pipe that tells it what to do. Started early, it has imported what
    it needs by the time there is a container.
    """

    def __init__(self, listener: socket.socket, log: Path, module: str) -> None:
        self._port = int(listener.getsockname()[1])
        self._name = ""
        self._log = log
        words = [sys.executable, "-P", "-m", module, str(listener.fileno())]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                words,
                cwd=log.parent,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                pass_fds=(listener.fileno(),),
                start_new_session=True,
                text=True,
            )
        listener.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError):  # it has died: `ready` says so
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def begin(self, settings: Settings, container: str) -> None:
        self._name = settings.name
        self._say(settings.to_json())
        self._say(container)

    def ready(self) -> None:
        """Let callers through, and let go of the process.

        Raises:
            ByocError: it died.

        """
        self._say(READY)
        deadline = time.monotonic() + _UP_SECONDS
        while status.word(self._port, self._name) != "InService":
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace").strip() or "it said nothing"
                self.end()
                raise ByocError(f"the local endpoint did not start\n{said}", hint="byoc serve --raw does without it")
            time.sleep(0.01)
        assert self._process.stdin
        self._process.stdin.close()

    def ending(self) -> None:
        """It is told by nobody, and says what it sees to its log only."""

    def end(self) -> None:
        self._process.kill()
        with suppress(BrokenPipeError):
            self._process.communicate()


def launch(listener: socket.socket, log: Path, module: str) -> Gateway:
    """Start one; the program is `module`, from where S3 is in sight."""
    return ProcessGateway(listener, log, module)


def log_file(home: Path, name: str) -> Path:
    """Return where a detached local endpoint writes what it says; a log goes a week after its last line."""
    folder = home / "endpoints"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.log"):
        with suppress(OSError):
            if old.stat().st_mtime < time.time() - _KEPT_SECONDS:
                old.unlink()
    path = folder / f"{name}.log"
    path.touch(0o600)
    return path
