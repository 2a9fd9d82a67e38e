"""What can go wrong, as a user sees it. Caught in one place: `app.main`.

ByocError              1  what you asked for failed (a build, a job, an endpoint, a check)
  UsageError           2  a wrong option or a wrong byoc.toml
  MachineError         3  this machine is not ready (Docker, credentials, a taken port, no GPU)
Interrupted       130/143  byoc itself was told to stop (not an Exception, which something might eat; nor a
                           KeyboardInterrupt, of which Typer makes 130, whatever the signal was)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ByocError(Exception):
    """Something a user can act on: what went wrong, why, and what to do.

    `message` says what went wrong and its cause (it may have several lines); `hint` is the exact thing to do
    or type; `result` is what `--json` prints all the same (a failed job still has a description).
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", result: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.result = result


class UsageError(ByocError):
    """A wrong option, argument or project file."""

    exit_code = 2


class MachineError(ByocError):
    """Not possible on this machine now: no engine, no credentials, no GPU, a taken port."""

    exit_code = 3


READER_GONE = 128 + 13  # SIGPIPE: `byoc logs | head` has what it wanted


class Interrupted(BaseException):
    """Ctrl-C (130), SIGTERM (143), a closed terminal (129) or a closed pipe (141)."""

    def __init__(self, signal_number: int, *, result: Mapping[str, Any] | None = None) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
        self.result = result


def some(names: Sequence[str], most: int = 3) -> str:
    """Name the first of many, for a message."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
