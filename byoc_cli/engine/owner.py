"""Whose a thing is that lives and dies with one byoc process, and whether that process still lives."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

OWNER_LABEL = "byoc.owner"
"""<host>/<process id>/<start of the process>: on what lives and dies with one byoc process."""


def me() -> str:
    """Return this process as OWNER_LABEL names it."""
    return _owner(os.getpid())


def gone(owner: str) -> bool:
    """Whether that process is gone (killed, when what it owns is still there): only said of this host's."""
    host, _, pid = owner.rpartition("/")[0].rpartition("/")
    return pid.isdecimal() and host == socket.gethostname() and _owner(int(pid)) != owner


def scratch(what: str) -> tempfile.TemporaryDirectory[str]:
    """Make a folder for the time of one call, readable for this user only; its name says whose it is."""
    return tempfile.TemporaryDirectory(prefix=f"byoc-{what}-{me().replace('/', '-')}-")


def left_scratch() -> list[Path]:
    """Find this user's scratch folders whose byoc was killed."""
    found = []
    for path in sorted(Path(tempfile.gettempdir()).glob("byoc-*")):
        named = re.fullmatch(r"byoc-[a-z]+-(.+)-(\d+)-([\d.]+)-\w+", path.name)
        with suppress(OSError):  # it is being removed just now
            if named and gone("/".join(named.groups())) and path.stat().st_uid == os.getuid():
                found.append(path)
    return found


def remove_scratch(folder: Path) -> None:
    """Remove one of them."""
    shutil.rmtree(folder, ignore_errors=True)


def _owner(pid: int) -> str:
    return f"{socket.gethostname()}/{pid}/{_start_of(pid)}"


def _start_of(pid: int) -> str:
    """Return what tells a process from another that has its number later; "0" for one that is gone."""
    stat = Path("/proc/self/stat")
    if stat.exists():
        # Its 22nd field, counted behind the name, which may hold anything. To import psutil for it takes 20 ms.
        with suppress(OSError):
            return stat.parent.with_name(str(pid)).joinpath("stat").read_text().rpartition(")")[2].split()[19]
        return "0"
    import psutil

    with suppress(psutil.Error):
        return f"{psutil.Process(pid).create_time():.2f}"
    return "0"
