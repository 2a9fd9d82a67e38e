"""Pipe mode: the objects of a channel come through FIFOs, one an epoch (T-61 to T-67)."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from byoc_cli.errors import ByocError
from byoc_cli.local.channels import fifo, recordio

_DISK_SECONDS = 1.0


class PipeFeeder:
    """Feeds one Pipe-mode channel: a FIFO per epoch in `folder`, from a thread.

    `objects(epoch)` gives the files of that epoch, in order; it is called in the thread, when a reader came.
    `record_wrapper` is "None" or "RecordIO" (T-65), `compression` "None" or "Gzip", which is unzipped (T-66).

    Epochs have no end (T-61). NAME_1 is there as soon as somebody reads NAME_0, and NAME_0 is gone before its reader is
    told the end: who opens the wrong one gets an error, and does not wait for what never comes.
    """

    def __init__(
        self,
        folder: Path,
        channel: str,
        objects: Callable[[int], Sequence[Path]],
        *,
        record_wrapper: str = "None",
        compression: str = "None",
    ) -> None:
        self._folder = folder
        self._channel = channel
        self._objects = objects
        self._framed = record_wrapper == "RecordIO"
        self._zipped = compression == "Gzip"
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._feed, name=f"pipe {channel}", daemon=True)
        self._epochs = 0
        self._error = ""

    @property
    def error(self) -> str:
        """Why feeding ended early: which object, what was wrong; "" while all is well."""
        return self._error

    @property
    def epochs(self) -> int:
        """How many epochs a reader began."""
        return self._epochs

    def start(self) -> None:
        """Make NAME_0, and feed whoever opens it.

        Raises:
            MachineError: there can be no FIFO.

        """
        fifo.make(self._fifo(0))
        self._thread.start()

    def close(self) -> None:
        """Stop at once, whatever is being waited for, and remove the FIFOs; a reader is told the end."""
        self._closed.set()
        if self._thread.is_alive():
            # Only a disk that does not answer takes longer; the thread removes its FIFOs even then, later.
            self._thread.join(_DISK_SECONDS)

    def _fifo(self, epoch: int) -> Path:
        return self._folder / f"{self._channel}_{epoch}"

    def _feed(self) -> None:
        try:
            for epoch in itertools.count():
                with fifo.writer(self._fifo(epoch), self._closed) as writer:
                    self._epochs += 1
                    # Not at the end: a reader that has had enough opens the next one at once.
                    fifo.make(self._fifo(epoch + 1))
                    with suppress(BrokenPipeError):
                        self._send_all(writer, epoch)
                    if self._error:
                        return
                    self._fifo(epoch).unlink(missing_ok=True)
        except fifo.Closed:
            pass
        except (OSError, ByocError) as error:
            self._fail(error, f"{error.filename}: " if isinstance(error, OSError) and error.filename else "")
        finally:
            for epoch in (self._epochs - 1, self._epochs):
                fifo.remove(self._fifo(epoch))

    def _send_all(self, writer: fifo.Writer, epoch: int) -> None:
        """Send an epoch's objects; what is wrong with one is kept before the reader is told the end."""
        path: Path | None = None
        try:
            for path in self._objects(epoch):
                self._send(writer, path)
        except (fifo.Closed, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - isal's own, the caller's, any: the container must not hang on it
            self._fail(error, f"epoch {epoch}, {path}: " if path else f"epoch {epoch}: ")

    def _fail(self, error: Exception, where: str = "") -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self._error = f"channel '{self._channel}' broke off\n{where}{reason or type(error).__name__}"

    def _send(self, writer: fifo.Writer, path: Path) -> None:
        if self._zipped:
            for piece in _framed(path) if self._framed else _unzipped(path):
                writer.write(piece)
            return
        with path.open("rb", buffering=0) as file:
            if not self._framed:
                writer.pour(file)
                return
            length = os.fstat(file.fileno()).st_size
            writer.write(recordio.header(length))
            if writer.pour(file, length) < length:
                raise recordio.changed(length)
            writer.write(recordio.padding(length))


def _framed(path: Path) -> Iterator[bytes]:
    """Give an object, unzipped, as one record.

    Its length comes first, and gzip does not tell it (the trailer has 32 bits of the last member's): one that is longer
    than a piece is unzipped twice. A temporary file would need as much disk, which in /tmp is often memory.
    """
    pieces = list(itertools.islice(_unzipped(path), 2))
    if len(pieces) < 2:
        yield from recordio.frame(sum(map(len, pieces)), pieces)
        return
    length = 0
    for piece in _unzipped(path):
        length += len(piece)
        if length > recordio.LONGEST_BYTES:
            break  # the frame refuses it
    yield from recordio.frame(length, _unzipped(path))


def _unzipped(path: Path) -> Iterator[bytes]:
    from isal import igzip  # late: only this needs it

    with igzip.open(path, "rb") as file:  # type: ignore[no-untyped-call]
        while piece := file.read(fifo.PIECE_BYTES):
            yield piece
