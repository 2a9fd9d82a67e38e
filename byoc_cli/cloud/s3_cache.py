"""What was downloaded from one bucket, on this machine's disk. No AWS in here.

    <cache>/byoc/s3/<bucket>/objects/4f/4f09…    an object as it was at one time, named by what S3 says of it
    <cache>/byoc/s3/<bucket>/channels/9d…-77…/   a tree of hard links to them: what a listing of one prefix was

Nothing is changed once it is there, so nothing is locked: another byoc makes the same, and a running job keeps what it
has when its prefix is listed anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from byoc_cli.errors import UsageError

# What newer data has replaced is kept that long: a job that runs may be reading it.
_KEPT_SECONDS = 7 * 86_400
_BROKEN_OFF_SECONDS = 86_400


@dataclass(frozen=True)
class RemoteObject:
    """An object as a listing shows it: bytes, and seconds since 1970. Another digest is another object."""

    key: str
    size: int
    etag: str
    modified: int

    @property
    def digest(self) -> str:
        """Names what is in it."""
        return _digest([self.key, str(self.size), self.etag, str(self.modified)])


def home(environ: Mapping[str, str]) -> Path:
    """Where downloads are kept: in XDG_CACHE_HOME, else in ~/.cache."""
    given = environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given.startswith("/") else Path.home() / ".cache") / "byoc" / "s3"


class Cache:
    """One bucket's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._objects = folder / "objects"
        self._channels = folder / "channels"

    def path(self, one: RemoteObject) -> Path:
        """Where an object is, or will be when it is whole: it comes there by one rename."""
        return self._objects / one.digest[:2] / one.digest

    def missing(self, objects: Iterable[RemoteObject]) -> list[RemoteObject]:
        """Which of them are to be downloaded."""
        return [one for one in objects if not _is(self.path(one), one)]

    def make_room(self, objects: Iterable[RemoteObject]) -> None:
        """Make the folders that they go to."""
        for folder in {self.path(one).parent for one in objects}:
            folder.mkdir(parents=True, exist_ok=True)

    def finish(self, one: RemoteObject) -> None:
        """Give a whole object S3's time: by it is seen whether anybody wrote into it."""
        os.utime(self.path(one), (one.modified, one.modified))

    def find(self, root: str, files: Mapping[str, RemoteObject]) -> Path | None:
        """Give the tree of these files (name to object) if it is there, and still what it was; marks it as used."""
        folder = self._tree(root, files)
        if not folder.is_dir() or not all(_is(folder / name, one) for name, one in files.items()):
            return None
        os.utime(folder)
        return folder

    def make(self, root: str, files: Mapping[str, RemoteObject]) -> Path:
        """Make that tree of what was downloaded; it is there by one rename.

        Raises:
            UsageError: two of the names are one file here.

        """
        folder = self._tree(root, files)
        self._channels.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)  # somebody changed it
        making = Path(tempfile.mkdtemp(prefix="making-", dir=self._channels))
        try:
            making.chmod(0o755)
            made = {making}
            for name, one in files.items():
                target = making / name
                if target.parent not in made:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    made.add(target.parent)
                _link(self.path(one), target)
            _settle(making, folder)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise UsageError(
                f"the objects of {root} cannot be files of one folder here\n{error}",
                hint="this file system takes two of their keys for one",
            ) from error
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return folder

    def prune(self, root: str, current: Path, now: float) -> None:
        """Remove what newer data of a prefix has replaced, a week after its last use, and what was broken off."""
        old = [
            folder
            for pattern, seconds in ((f"{_digest([root])[:16]}-*", _KEPT_SECONDS), ("making-*", _BROKEN_OFF_SECONDS))
            for folder in self._channels.glob(pattern)
            if folder != current and now - _used(folder, now) > seconds
        ]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        for file in self._objects.glob("*/*"):
            with suppress(FileNotFoundError):  # another byoc prunes, too
                status = file.lstat()
                # A count of 1: no tree has it. Of the time when it changed last: the other one was just removed, or it
                # is part of a download.
                if status.st_nlink == 1 and (old or "." in file.name) and now - status.st_ctime > _BROKEN_OFF_SECONDS:
                    file.unlink()

    def _tree(self, root: str, files: Mapping[str, RemoteObject]) -> Path:
        content = _digest([part for name, one in sorted(files.items()) for part in (name, one.digest)])
        return self._channels / f"{_digest([root])[:16]}-{content[:32]}"


def clash(names: Sequence[str]) -> tuple[str, str] | None:
    """Find a name that is a file and a folder: S3 has both `a` and `a/b`, no disk has."""
    known = set(names)
    for name in names:
        parts = name.split("/")
        for end in range(1, len(parts)):
            if (above := "/".join(parts[:end])) in known:
                return above, name
    return None


def _is(file: Path, one: RemoteObject) -> bool:
    try:
        status = file.lstat()
    except OSError:
        return False
    return status.st_size == one.size and int(status.st_mtime) == one.modified


def _settle(making: Path, folder: Path) -> None:
    try:
        making.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another byoc was faster, and made the same
            raise


def _used(folder: Path, now: float) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # another byoc prunes, too
        return now


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        raise
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
