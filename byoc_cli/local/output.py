"""A container's output: two streams of pieces into whole lines, on the terminal, in the log, before the metrics."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable


class LineMerger:
    """Joins two streams by whole lines, so that none is torn by the other; nothing is lost, nothing is changed.

    A progress bar's carriage return ends a piece too: it has to be seen while it moves. (One at the end of a
    chunk may be half of a CR LF and waits for what follows.)
    """

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self.sink = sink
        self._open: dict[str, bytearray] = {}

    def feed(self, stream: str, chunk: bytes) -> None:
        """Take what a stream gave, in any pieces."""
        held = self._open.setdefault(stream, bytearray())
        # Only what is new is searched: a line of megabytes comes in many pieces. (A CR that waited is looked at again.)
        new = max(0, len(held) - 1)
        held += chunk
        end = max(held.rfind(b"\n", new), held.rfind(b"\r", new, len(held) - 1)) + 1
        if end:
            self.sink(bytes(held[:end]))
            del held[:end]

    def close(self) -> None:
        """Give the last lines that had no newline; each gets one only if another follows."""
        rest = [bytes(data) for data in self._open.values() if data]
        for index, data in enumerate(rest):
            self.sink(data if index == len(rest) - 1 else data + b"\n")
        self._open.clear()


class Tail:
    """Keeps the last lines, decoded leniently: one bad byte harms nothing."""

    def __init__(self, lines: int = 20) -> None:
        self._lines: deque[str] = deque(maxlen=lines)

    def feed(self, data: bytes) -> None:
        """Take whole lines."""
        self._lines.extend(text_lines(data))

    @property
    def text(self) -> str:
        """The lines, without trailing white space."""
        return "\n".join(line.rstrip() for line in self._lines)


def prefixed(data: bytes, prefix: str) -> bytes:
    """Set a prefix before each line; a last one without newline gets one, for another host's may follow."""
    if not prefix:
        return data
    lines = re.findall(rb"[^\r\n]*(?:\r?\n|\r)|[^\r\n]+$", data)
    return b"".join(prefix.encode() + line for line in lines) + (b"" if data.endswith((b"\n", b"\r")) else b"\n")


def text_lines(data: bytes) -> list[str]:
    """Decode whole lines; of a line that was overwritten with carriage returns, each version is one."""
    return [line for line in re.split(r"[\r\n]+", data.decode(errors="replace")) if line]


def indented(lines: Iterable[str] | str) -> str:
    """Set lines in by two, as errors show a container's words."""
    return "\n".join("  " + line for line in (lines.splitlines() if isinstance(lines, str) else lines))
