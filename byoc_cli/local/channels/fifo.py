"""FIFOs: where they can be, how they are made, and the end that is written to."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import secrets
import select
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from byoc_cli.engine.types import EngineInfo
from byoc_cli.errors import MachineError

PIECE_BYTES = 1 << 20
"""What a pipe holds (Linux grants everybody 1 MiB, the default is 64 KiB), and what is sent at once."""

_HINT = "use mode=File or mode=FastFile for the channel"
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.0005, 0.02


class Closed(Exception):
    """Nobody wants it any more."""


def check_fifo_support(info: EngineInfo, platform: str) -> None:
    """See that what is written to a FIFO here can be read in a container; `platform` is `sys.platform` (T-64).

    Raises:
        MachineError: container and byoc do not share a kernel, and a FIFO's data is the kernel's.

    """
    if not platform.startswith("linux"):
        why = "on macOS and Windows containers run in a virtual machine, and a FIFO's data does not get into it"
    elif info.remote:
        why = f"the engine is on another machine ({info.address}), and a FIFO's data does not get there"
    elif "docker desktop" in info.operating_system.lower():
        why = "Docker Desktop's containers run in a virtual machine, and a FIFO's data does not get into it"
    else:
        return
    raise MachineError(
        f"Pipe mode is not possible with this engine\n{why}", hint=f"{_HINT}, or run byoc on Linux with its own engine"
    )


def check_fifo_folder(folder: Path) -> None:
    """See that the file system of `folder` knows FIFOs.

    Raises:
        MachineError: it does not (vfat, some network shares), or nothing can be made there.

    """
    probe = folder / f".fifo-{secrets.token_hex(4)}"
    try:
        make(probe)
    finally:
        probe.unlink(missing_ok=True)


def make(path: Path) -> None:
    """Make a FIFO that every user of a container can open.

    Raises:
        MachineError: it cannot be made there, or something has that name.

    """
    try:
        os.mkfifo(path)
        _open_to_all(path)
    except OSError as error:
        raise MachineError(
            f"a FIFO cannot be made in {path.parent}\n{path.name}: {error.strerror}",
            hint=f"{_HINT}, or keep the project on a local Linux file system",
        ) from error


def _open_to_all(path: Path) -> None:
    """Set the mode, whatever the umask; not by name: a container may have put a link there meanwhile."""
    made = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        _require_fifo(made, path)
        Path(f"/proc/self/fd/{made}").chmod(0o666)
    finally:
        os.close(made)


def _require_fifo(descriptor: int, path: Path) -> None:
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        raise OSError(errno.EEXIST, "it is no FIFO any more", str(path))


def remove(path: Path) -> None:
    """Remove a FIFO, if it is there: whoever has opened it, or is about to, reads its end and does not wait forever."""
    with suppress(OSError):
        # Linux opens both ends at once without waiting.
        both = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            _require_fifo(both, path)
            path.unlink()
        finally:
            os.close(both)


class Writer:
    """The end that is written to. It never waits longer than it takes to see that `closed` is set.

    Every method raises:
        Closed: nobody wants it any more.
        BrokenPipeError: the reader is gone, having had enough.
    """

    def __init__(self, descriptor: int, closed: threading.Event) -> None:
        self._descriptor = descriptor
        self._closed = closed
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        # Beyond 64 MiB of pipes a user may have no larger ones: slower, no more.
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIECE_BYTES)

    def write(self, data: bytes) -> None:
        """Write all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._send(lambda: os.write(self._descriptor, rest)) :]  # noqa: B023 - called at once

    def pour(self, file: io.FileIO, most: int = sys.maxsize) -> int:
        """Send a file, or `most` bytes of it, and return how many it had; they do not pass through this process."""
        sent = 0
        try:
            while sent < most and (moved := self._splice(file, most - sent)):
                sent += moved
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # A file system that cannot splice (some FUSE ones).
            while sent < most and (piece := file.read(min(PIECE_BYTES, most - sent))):
                self.write(piece)
                sent += len(piece)
        return sent

    def _splice(self, file: io.FileIO, most: int) -> int:
        size = min(PIECE_BYTES, most)
        return self._send(lambda: os.splice(file.fileno(), self._descriptor, size))

    def _send(self, send: Callable[[], int]) -> int:
        while not self._closed.is_set():
            try:
                return send()
            except BlockingIOError:
                self._room.poll(_LONGEST_WAIT_SECONDS * 1000)
        raise Closed


@contextmanager
def writer(path: Path, closed: threading.Event) -> Iterator[Writer]:
    """Wait for a reader, and give the other end; when the block ends, the reader's end is behind what was written.

    Raises:
        Closed: nobody waits for one any more.
        OSError: the FIFO is gone, or something else has its name.

    """
    descriptor = _open(path, closed)
    try:
        yield Writer(descriptor, closed)
    finally:
        os.close(descriptor)


def _open(path: Path, closed: threading.Event) -> int:
    # A blocking open could not be called off. What a container may write to is not believed: no links, FIFOs only.
    wait = _FIRST_WAIT_SECONDS
    while not closed.is_set():
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ENXIO:  # no reader
                raise
        else:
            try:
                _require_fifo(descriptor, path)
            except OSError:
                os.close(descriptor)
                raise
            return descriptor
        closed.wait(wait)
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
    raise Closed
