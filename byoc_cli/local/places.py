"""Where asynchronous requests come from and their answers go: files of this machine, objects in S3 (H-50)."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from byoc_cli.contract.channels import S3
from byoc_cli.errors import ByocError


class Reader(Protocol):
    """Bytes, one after the other; `read` raises ByocError."""

    def read(self, amount: int, /) -> bytes:
        """Give at most so many; b"" at the end."""

    def close(self) -> None:
        """Let go of it."""


Found = tuple[int, Reader]
"""(size, bytes)."""


class ObjectStore(Protocol):
    """S3, for several threads; what is raised is a ByocError with AWS's own words."""

    def find(self, uri: str) -> Found | None:
        """Open an object; None where there is none."""

    def put(self, uri: str, content: IO[bytes], content_type: str) -> None:
        """Write an object, all of it or nothing."""


S3Door = Callable[[], ObjectStore]


class Places:
    """Finds and writes by URI; S3 is connected to when the first one asks for it."""

    def __init__(self, s3: S3Door | None) -> None:
        self._door = s3
        self._s3: ObjectStore | None = None

    def find(self, uri: str) -> Found | None:
        """Open what is there; None where nothing is.

        Raises:
            ByocError: it cannot be read.

        """
        if uri.startswith(S3):
            return self._objects().find(uri)
        path = path_of(uri)
        try:
            if path.exists() and not path.is_file():
                raise ByocError(f"{path} is no file")
            file = path.open("rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ByocError(f"{path} cannot be read\n{error.strerror}") from error
        return os.fstat(file.fileno()).st_size, _File(path, file)

    def draft(self, uri: str) -> Draft:
        """Begin what will be there.

        Raises:
            ByocError: it cannot be.

        """
        if uri.startswith(S3):
            return _ObjectDraft(uri, self._objects)
        return _FileDraft(path_of(uri))

    def _objects(self) -> ObjectStore:
        if self._s3 is None:
            if self._door is None:
                raise ByocError("S3 cannot be used here")
            self._s3 = self._door()
        return self._s3


class Draft(Protocol):
    """What is being written: nobody sees any of it before it is kept, and nothing stays of what is dropped."""

    def write(self, data: bytes) -> None:
        """Put bytes behind the others."""

    def keep(self, content_type: str) -> None:
        """Let it be seen."""

    def drop(self) -> None:
        """Let it go, if it was not kept."""


class _FileDraft:
    """Written beside its place, and renamed: a reader sees all of it or nothing, as in S3."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._part = path.with_name(f".{path.name}-{secrets.token_hex(4)}.part")
            self._file = self._part.open("xb")

    def write(self, data: bytes) -> None:
        with _written(self._path):
            self._file.write(data)

    def keep(self, content_type: str) -> None:  # noqa: ARG002 - a file has none
        with _written(self._path):
            self._file.close()
            self._part.replace(self._path)

    def drop(self) -> None:
        with suppress(OSError):  # what is not on the disk yet may have no room there
            self._file.close()
        self._part.unlink(missing_ok=True)


class _ObjectDraft:
    """Kept on the disk until it is whole: an object is written at once."""

    def __init__(self, uri: str, objects: Callable[[], ObjectStore]) -> None:
        self._uri = uri
        self._objects = objects
        with _written(Path(tempfile.gettempdir())):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever drops or keeps it

    def write(self, data: bytes) -> None:
        with _written(Path(tempfile.gettempdir())):
            self._file.write(data)

    def keep(self, content_type: str) -> None:
        with self._file:
            self._file.seek(0)
            self._objects().put(self._uri, self._file, content_type)

    def drop(self) -> None:
        with suppress(OSError):
            self._file.close()


class _File:
    """A `Reader` of a file."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file

    def read(self, amount: int, /) -> bytes:
        try:
            return self._file.read(amount)
        except OSError as error:
            raise ByocError(f"{self._path} cannot be read\n{error.strerror}") from error

    def close(self) -> None:
        self._file.close()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Say what could not be written, and why."""
    try:
        yield
    except OSError as error:
        raise ByocError(f"{path} cannot be written\n{error.strerror}") from error


def path_of(uri: str) -> Path:
    """Give the path that a file:// URI names."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def uri_of(path: Path) -> str:
    """Give the URI of a path."""
    return path.resolve().as_uri()


def shown(uri: str) -> str:
    """Give it as a person writes it."""
    return str(path_of(uri)) if uri.startswith("file:") else uri
