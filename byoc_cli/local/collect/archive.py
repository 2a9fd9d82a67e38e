"""A folder as SageMaker stores it: a gzip-compressed tar whose root is the folder's content (T-45, T-46)."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHUNK = 1 << 20
_GZIP_LEVEL = 1  # of ISA-L: as small as zlib's 1 to 2, ten times as fast


@contextmanager
def open_archive(part: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive for writing."""
    # isal is imported late: it and its threads are only for this.
    from isal import igzip_threaded

    threads = min(4, os.cpu_count() or 1)
    try:
        with (
            igzip_threaded.open(part, "wb", compresslevel=_GZIP_LEVEL, threads=threads) as zipped,  # type: ignore[no-untyped-call]
            tarfile.open(fileobj=zipped, mode="w|", bufsize=CHUNK) as pack,
        ):
            pack.copybufsize = CHUNK  # type: ignore[attr-defined] # tarfile's own 16 KiB cost half of the time
            yield pack
    except OSError as error:
        # isal raises one and the same exception at every call; an ExitStack that sees it twice looks for its context
        # for ever (no ExitStack in here for the same reason).
        raise OSError(error.errno, error.strerror or str(error), error.filename or str(part)) from None


def pack(folder: Path, archive: Path) -> None:
    """Pack what is in a folder; everything is root's, as what comes out of a container."""
    part = archive.with_name(f".{archive.name}.part")
    try:
        with open_archive(part) as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, path.name, filter=_roots)
        part.replace(archive)
    finally:
        part.unlink(missing_ok=True)


def _roots(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
