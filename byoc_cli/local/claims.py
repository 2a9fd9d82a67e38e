"""Folders that last as long as the byoc that uses them: whether that one lives, the kernel tells, by a lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Make a folder and hold it as long as this process lives, at most."""
    folder.mkdir(parents=True, exist_ok=True)
    import fcntl  # late: Windows has none, and can do all but train

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def claimed(folder: Path) -> bool:
    """Whether somebody holds a folder, as far as can be seen."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
