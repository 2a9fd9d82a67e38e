"""See that the engine mounts this machine's files.

A remote engine, or one outside of the container that byoc runs in, mounts an empty folder of the same name silently.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from byoc_cli.engine.types import Container, Mount
from byoc_cli.errors import MachineError


def check_mount(container: Container, mount: Mount, what: str) -> None:
    """Compare one file of a mount as it is here and as the container, not yet started, will see it.

    Raises:
        MachineError: it is not the same, so that `what` would be empty.

    """
    source = Path(mount.source)
    probe = _first_entry(source) if source.is_dir() else source
    if probe is None:
        return
    seen = container.stat(f"{mount.target}/{probe.name}" if source.is_dir() else mount.target)
    own = probe.lstat()
    if seen is None or (stat.S_ISREG(own.st_mode) and seen.size != own.st_size):
        raise MachineError(
            f"the engine does not see this machine's files\n{what} would be empty: {probe} is not there for it",
            hint="run byoc on the machine that the engine runs on, not in a container or with a remote DOCKER_HOST",
        )


def _first_entry(folder: Path) -> Path | None:
    # Not iterdir(), which lists all of it first: a channel may hold a million files.
    with os.scandir(folder) as entries:
        entry = next(entries, None)
    return Path(entry.path) if entry else None
