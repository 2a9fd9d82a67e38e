"""One pass over the engine's stream: each file goes to the folder and into the archive at once.

So a model is read from the engine once. Space is looked at before every file.
"""

from __future__ import annotations

import copy
import errno
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path, PurePosixPath
from typing import IO

from byoc_cli.engine.types import Container
from byoc_cli.errors import ByocError
from byoc_cli.local.collect.archive import CHUNK, open_archive
from byoc_cli.local.progress import Advance, Progress

RESERVE_BYTES = 64 << 20  # what must stay free on the disk


class CannotCollect(ByocError):
    """What the job left cannot be brought into its run's folder; the container is kept, so nothing is lost."""


class NoSpace(CannotCollect):
    """The disk cannot hold it."""


def cannot_collect(what: str, folder: Path, error: OSError) -> CannotCollect:
    """Say why something cannot be brought into a folder."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _no_space(folder, 0)
    return CannotCollect(f"{what} cannot be collected into {folder}\n{error}")


def fetch(
    container: Container,
    path: str,
    folder: Path,
    progress: Progress,
    advance: Advance,
    *,
    archive: Path | None = None,
    archived: str = "",
) -> None:
    """Unpack `path` of the container into `folder`; what lies below `archived` goes into `archive` too.

    The archive's root is the content of the folder: no leading `model/` and no `./` (T-45, T-46).
    """
    part = archive.with_name(f".{archive.name}.part") if archive else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            pack = stack.enter_context(open_archive(part)) if part else None
            # Closed in any case: an engine does not remove a container while somebody still reads from it.
            chunks = stack.enter_context(closing(container.get(path)))
            stream = _Stream(chunks, advance)
            links: list[tarfile.TarInfo] = []
            with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:
                for member in tar:
                    _take(tar, member, folder, pack, archived, progress)
                    if member.issym():
                        links.append(member)
            # Links come last: so nothing is ever written through one.
            for link in links:
                _symlink(link, folder, progress)
        if part and archive:
            part.replace(archive)
    except tarfile.ReadError as error:
        if stream.empty:  # it is a mount, so it is there: what is not is what else the container has mounted
            raise CannotCollect(f"the engine does not find {path} in the container {container.name}") from error
        raise CannotCollect(f"the engine's archive of {path} broke off\n{error}") from error
    except OSError as error:
        raise cannot_collect(path, folder, error) from error
    finally:
        if part:
            part.unlink(missing_ok=True)


def _take(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    folder: Path,
    pack: tarfile.TarFile | None,
    archived: str,
    progress: Progress,
) -> None:
    """Take one entry: "model/1/weights" is folder/1/weights on disk and 1/weights in the archive."""
    relative = _below_top(member.name)
    if relative is None:
        return
    target = folder / relative
    in_archive = _in_archive(relative, archived) if pack else None
    if member.isreg():
        _space_for(member.size, folder)
        _copy_file(tar, member, target, pack, in_archive)
        return
    if member.islnk():
        if link := _below_top(member.linkname):
            os.link(folder / link, target)
            _pack_link(pack, member, in_archive, link, archived, folder)
        return
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
    elif not member.issym():
        progress.warn(f"{member.name} is neither a file nor a folder nor a link: left out")
        return
    if pack and in_archive:
        pack.addfile(_renamed(member, str(in_archive)))


def _copy_file(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    target: Path,
    pack: tarfile.TarFile | None,
    in_archive: PurePosixPath | None,
) -> None:
    source = tar.extractfile(member)
    assert source is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as file:
            both = _Tee(source, file)
            if pack and in_archive:
                pack.addfile(_renamed(member, str(in_archive)), both)
            else:
                while both.read(CHUNK):
                    pass
    except BaseException:
        target.unlink(missing_ok=True)  # half a file is nobody's
        raise
    # Readable for its owner, whatever the container said: it is the user's file now.
    target.chmod(member.mode & 0o777 | 0o600)
    os.utime(target, (member.mtime, member.mtime))


def _pack_link(
    pack: tarfile.TarFile | None,
    member: tarfile.TarInfo,
    in_archive: PurePosixPath | None,
    link: PurePosixPath,
    archived: str,
    folder: Path,
) -> None:
    """Put a hard link into the archive: as a link where its other end is there too, else as the file."""
    if not pack or not in_archive:
        return
    other = _in_archive(link, archived)
    renamed = _renamed(member, str(in_archive))
    if other:
        renamed.linkname = str(other)
        pack.addfile(renamed)
        return
    renamed.type, renamed.linkname, renamed.size = tarfile.REGTYPE, "", (folder / link).stat().st_size
    with (folder / link).open("rb") as file:
        pack.addfile(renamed, file)


def _symlink(member: tarfile.TarInfo, folder: Path, progress: Progress) -> None:
    """Keep a link as a link, if it stays inside; SageMaker does not load a model with one (T-50)."""
    relative = _below_top(member.name)
    if relative is None:
        return
    target = folder / relative
    # Where it and what it leads to really are, through the links that are there already.
    places = [Path(os.path.realpath(place)) for place in (target.parent, target.parent / member.linkname)]
    inside = all(place.is_relative_to(folder.resolve()) for place in places)
    if Path(member.linkname).is_absolute() or not inside:
        progress.warn(f"{member.name} links to {member.linkname}, outside of its folder: kept in the archive only")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(member.linkname)
    progress.warn(
        f"{member.name} is a symbolic link: a model with one cannot be deployed (T-50)", "write the file itself instead"
    )


def _renamed(member: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    # Not member.replace(): Debian 12's Python 3.11.2 has none.
    renamed = copy.copy(member)
    renamed.name = name
    renamed.pax_headers = {key: value for key, value in member.pax_headers.items() if key not in {"path", "linkpath"}}
    return renamed


def _below_top(name: str) -> PurePosixPath | None:
    """Cut off the first part of a path; None for the top itself, and for what would lead out of it.

    The names are the container's: none may be trusted.
    """
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    return PurePosixPath(*parts[1:]) if len(parts) > 1 and ".." not in parts else None


def _in_archive(relative: PurePosixPath, archived: str) -> PurePosixPath | None:
    """Return the path in the archive, None for what is not below `archived`."""
    if not archived:
        return relative
    return PurePosixPath(*relative.parts[1:]) if relative.parts[0] == archived and len(relative.parts) > 1 else None


def _space_for(size: int, folder: Path) -> None:
    if shutil.disk_usage(folder).free - size < RESERVE_BYTES:
        raise _no_space(folder, size)


def _no_space(folder: Path, size: int) -> NoSpace:
    place = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(place).free
    more = f", the next file needs {size / 1e6:,.0f} MB" if size else ""
    files = os.statvfs(place)
    if files.f_files and not files.f_favail:
        more = ", but no more files can be made there (no inodes are)"
    return NoSpace(
        f"the disk is too full to collect what the job left\n{free / 1e6:,.0f} MB are free at {folder}{more}"
    )


class _Tee(io.RawIOBase):
    """Reads from one file and writes what it read to another."""

    def __init__(self, source: IO[bytes], copy: IO[bytes]) -> None:
        self._source = source
        self._copy = copy

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._copy.write(data)
        return data


class _Stream(io.RawIOBase):
    """The engine's chunks as a file to read from."""

    def __init__(self, chunks: Iterator[bytes], advance: Advance) -> None:
        self._chunks = chunks
        self._advance = advance
        self._rest = memoryview(b"")
        self.empty = True

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            chunk = next(self._chunks, b"")
            self._rest = memoryview(chunk)
            self.empty = self.empty and not chunk
            self._advance(len(chunk))
        taken = self._rest[:size] if size >= 0 else self._rest
        self._rest = self._rest[len(taken) :]
        return bytes(taken)
