"""What a process does with SIGTERM, as Linux tells in /proc; nothing is known where the engine is elsewhere."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NO_HANDLER = "no handler of SIGTERM, and without one the kernel keeps it from PID 1"
_BIT = 1 << (signal.SIGTERM - 1)
_ENGINES_OWN = re.compile(r"(?:\S*runc|/proc/self/exe) init\b")
"""What the engine has for PID 1 until the image's program takes its place."""


@dataclass(frozen=True)
class Process:
    """The first process of a container.

    `takes` says that SIGTERM gets to it: it has a handler, or waits for it; `ignores` that it was told to let it be,
    which is more than to have no handler.
    """

    command: str
    takes: bool
    ignores: bool = False

    @property
    def name(self) -> str:
        """Its program, without the folder."""
        return (self.command.split() or [""])[0].rpartition("/")[2]

    @property
    def script(self) -> str:
        """What an interpreter runs, else its program."""
        words = [word for word in self.command.split()[1:] if not word.startswith("-")]
        return words[0] if words and re.match(r"python|perl|ruby|node|Rscript", self.name) else self.name


def first_process(pid: int, proc: Path = Path("/proc")) -> Process | None:
    """Look at the container's PID 1, whose number on this machine is `pid`; None where it is not to be seen."""
    with suppress(OSError, ValueError):
        before = _command(proc, pid)
        status = (proc / str(pid) / "status").read_text()
        if pid and _field(status, "NSpid").split()[-1:] == ["1"] and len(_field(status, "NSpid").split()) > 1:
            caught, blocked, ignored = (int(_field(status, name) or "0", 16) for name in ("SigCgt", "SigBlk", "SigIgn"))
            command = _command(proc, pid)
            # It has ended, or not begun; or became another program just now, and what was read was the one before.
            if not command or _ENGINES_OWN.match(command) or command != before:
                return None
            # What is blocked is waited for, as inits do it.
            return Process(command, bool((caught | blocked) & _BIT), bool(ignored & _BIT))
    return None


def _command(proc: Path, pid: int) -> str:
    return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


def _field(status: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(.*)$", status, re.MULTILINE)
    return found[1] if found else ""
