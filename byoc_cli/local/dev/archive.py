"""The source as a tar to unpack over the image's copy: each file with the mode and the owner that a build gives."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile

from byoc_cli.engine.placement import Placed, Placement
from byoc_cli.local.dev.inside import Inside

_IN_MEMORY = 32 << 20
_CHUNK = 1 << 20


def packed(root: Path, placement: Placement, inside: Inside) -> Iterator[bytes]:
    """Give a tar of all files of the project `root`, their names relative to the container's root.

    Folders are left out: those that are in the image stay as they are.
    """
    with SpooledTemporaryFile(_IN_MEMORY) as spool:
        with inside, tarfile.open(fileobj=spool, mode="w") as tar:
            owners = _owners(placement, inside)
            for place, placed in sorted(placement.files.items()):
                _add(tar, root / placed.source, place, placed, owners.get(placed.step, (0, 0)), inside)
        spool.seek(0)
        while chunk := spool.read(_CHUNK):
            yield chunk


def _owners(placement: Placement, inside: Inside) -> dict[int, tuple[int, int]]:
    """Say who owns in the image what each COPY has put there: the first of its files that is there says it."""
    found: dict[int, tuple[int, int]] = {}
    for place, placed in sorted(placement.files.items()) if placement.owned else ():
        if placed.step not in found and (owner := inside.owner(place)):
            found[placed.step] = owner
    return found


def _add(tar: tarfile.TarFile, path: Path, place: str, placed: Placed, owner: tuple[int, int], inside: Inside) -> None:
    member = tarfile.TarInfo(place.lstrip("/"))
    member.uid, member.gid = owner
    try:
        # COPY follows a link that it names itself.
        link = path.is_symlink() and not (placed.direct and path.is_file())
        seen = path.lstat() if link else path.stat()
        member.mtime = seen.st_mtime
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, str(path.readlink())
            tar.addfile(member)
        elif stat.S_ISREG(seen.st_mode):
            with path.open("rb") as file:
                member.size = os.fstat(file.fileno()).st_size
                member.mode = _mode(place, placed, seen.st_mode, file.read(4), inside)
                file.seek(0)
                tar.addfile(member, file)
    except FileNotFoundError:  # gone just now: the next look sees it
        return


def _mode(place: str, placed: Placed, own: int, head: bytes, inside: Inside) -> int:
    """The file's own mode; of what looks like a program and is none here, what a step of the build has made of it."""
    if placed.mode is not None:
        return placed.mode
    if not own & 0o111 and (head[:2] == b"#!" or head == b"\x7fELF"):
        there = inside.stat(place)
        if there and there.executable:
            return there.mode & 0o777
    return stat.S_IMODE(own)
