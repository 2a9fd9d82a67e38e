"""Files of an image, read from a container that is never started: single paths, through the engine's archive API."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Protocol

from byoc_cli.engine.types import Container, FileStat

_HEAD_BYTES = 64 << 10
_LISTING_BYTES = 16 << 20  # what is read of a folder: enough to see what is there
_MOST_LINKS = 10


class Files(Protocol):
    """The files of an image: those that are in one, or those that a Dockerfile would put there."""

    def real(self, path: str) -> tuple[str, FileStat] | None:
        """Follow symbolic links to what is there; None where nothing is."""

    def is_there(self, path: str) -> bool:
        """Whether there is such a file or folder."""

    def head(self, path: str) -> bytes:
        """Read how a file begins."""

    def listing(self, folder: str) -> list[str]:
        """Name the files below a folder, relative to it."""


class ImageFiles:
    """Looks at each path once; `check` is called before, and what it raises ends the looking."""

    def __init__(self, container: Container, check: Callable[[], None]) -> None:
        self._container = container
        self._check = check
        self._seen: dict[str, FileStat | None] = {}

    def stat(self, path: str) -> FileStat | None:
        """Look at a path; a symbolic link is not followed."""
        if path not in self._seen:
            self._check()
            self._seen[path] = self._container.stat(path)
        return self._seen[path]

    def real(self, path: str) -> tuple[str, FileStat] | None:
        """Follow symbolic links to what is there (/bin is usr/bin); None where nothing is."""
        for _ in range(_MOST_LINKS):
            seen = self.stat(path)
            if seen is None or not seen.link:
                return (path, seen) if seen else None
            path = seen.link
        return None

    def is_there(self, path: str) -> bool:
        """Whether there is such a file or folder, links followed."""
        return self.real(path) is not None

    def head(self, path: str) -> bytes:
        """Read how a file begins: 64 KiB of it at most."""
        # A link would come as a link.
        found = self.real(path)
        with closing(self._container.get(found[0] if found else path)) as chunks:
            for member, tar in _members(chunks, _HEAD_BYTES * 2):
                if member.isfile() and (opened := tar.extractfile(member)):
                    with suppress(tarfile.ReadError, EOFError):
                        return opened.read(_HEAD_BYTES)
        return b""

    def listing(self, folder: str) -> list[str]:
        """Name the files below a folder, relative to it; of a large one only the first."""
        if not self.is_there(folder):
            return []
        root = posixpath.basename(folder)
        with closing(self._container.get(folder)) as chunks:
            names = [member.name for member, _ in _members(chunks, _LISTING_BYTES) if not member.isdir()]
        return [posixpath.relpath(name, root) for name in names]


def _members(chunks: Iterator[bytes], most: int) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Give a tar's entries as far as `most` bytes go."""
    # Where it is broken off, and where nothing was there at all.
    with suppress(tarfile.ReadError, EOFError), tarfile.open(fileobj=_Stream(chunks, most), mode="r|") as tar:
        for member in tar:
            yield member, tar


class _Stream(io.RawIOBase):
    """The engine's chunks as a file; to read on after so many bytes is an EOFError: tarfile would skip for ever."""

    def __init__(self, chunks: Iterator[bytes], most: int) -> None:
        self._chunks = chunks
        self._left = most
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            if self._left <= 0:
                raise EOFError
            self._rest = memoryview(next(self._chunks, b""))
            self._left -= len(self._rest)
        taken = self._rest[:size]
        self._rest = self._rest[size:]
        return bytes(taken)
