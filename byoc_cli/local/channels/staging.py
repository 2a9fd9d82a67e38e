"""A folder that holds only some of a channel's objects, made of hard links: shards and manifests without copying.

A link is the same file: who mounts such a folder does so read-only, or below an overlay whose writes go elsewhere.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local.channels.objects import Object

# Another file system; a file of somebody else's (fs.protected_hardlinks); a file system without links, or too many.
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}

Link = Callable[[str, Path], None]


def _link(source: str, target: Path) -> None:
    os.link(source, target)


def stage(objects: Sequence[Object], folder: Path, warn: Callable[[str, str], None], link: Link = _link) -> Path:
    """Make `folder`, which is not there yet, of these objects, the tree of their keys kept; gives it back.

    What cannot be linked is copied, with one warning that says how much.

    Raises:
        MachineError: the copies do not fit on the disk.
        ByocError: an object is gone, or cannot be read. Nothing is left.

    """
    folder.mkdir(parents=True)
    try:
        made = {folder}
        left = [one for one in objects if not _linked(one, folder, made, link)]
        if left:
            _copy(left, folder, warn)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ByocError(f"the channel's data cannot be laid out in {folder}\n{error}") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _linked(one: Object, folder: Path, made: set[Path], link: Link) -> bool:
    target = folder / one.key
    if target.parent not in made:
        target.parent.mkdir(parents=True, exist_ok=True)
        made.add(target.parent)
    try:
        # Of a symbolic link's file, not of the link: in the container it would point nowhere.
        link(os.path.realpath(one.path) if one.path.is_symlink() else str(one.path), target)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def _copy(objects: Sequence[Object], folder: Path, warn: Callable[[str, str], None]) -> None:
    size = sum(one.path.stat().st_size for one in objects)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise MachineError(
            f"the channel's data does not fit in {folder}\n"
            f"{size / 1e6:,.0f} MB cannot be linked and would be copied; {free / 1e6:,.0f} MB are free",
            hint="have the data and the project on one file system: then nothing is copied",
        )
    warn(
        f"{len(objects):,} files ({size / 1e6:,.1f} MB) are copied to {folder}: they cannot be hard links there",
        "have the data, as your own files, and the project on one file system",
    )
    for one in objects:
        shutil.copy(one.path, folder / one.key)
