"""A folder as SageMaker stores it: a gzip-compressed tar whose root is the folder's content (T-45, T-46)."""

from __future__ import annotations

import os
import tarfile
from contextlib import ExitStack
from pathlib import Path

CHUNK = 1 << 20
_GZIP_LEVEL = 1  # of ISA-L: as small as zlib's 1 to 2, ten times as fast


def open_archive(part: Path, stack: ExitStack) -> tarfile.TarFile:
    """Open an archive for writing; it is closed with the stack."""
    # isal is imported late: it and its threads are only for this.
    from isal import igzip_threaded

    threads = min(4, os.cpu_count() or 1)
    zipped = igzip_threaded.open(part, "wb", compresslevel=_GZIP_LEVEL, threads=threads)  # type: ignore[no-untyped-call]
    stack.enter_context(zipped)
    pack = stack.enter_context(tarfile.open(fileobj=zipped, mode="w|", bufsize=CHUNK))  # noqa: SIM115 - it is one
    pack.copybufsize = CHUNK  # type: ignore[attr-defined] # tarfile's own 16 KiB cost half of the time
    return pack


def pack(folder: Path, archive: Path) -> None:
    """Pack what is in a folder; everything is root's, as what comes out of a container."""
    part = archive.with_name(f".{archive.name}.part")
    try:
        with ExitStack() as stack:
            tar = open_archive(part, stack)
            for path in sorted(folder.iterdir()):
                tar.add(path, path.name, filter=_roots)
        part.replace(archive)
    finally:
        part.unlink(missing_ok=True)


def _roots(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
