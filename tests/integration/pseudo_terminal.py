"""A terminal that a test types into, with byoc in it as its only program."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.integration.world import BYOC, environment, wait_for

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")
_END = b"\0the end\0"


class PseudoTerminal:
    """`byoc WORDS` in a session of its own, as in a window: Ctrl-C is a key, of which a terminal may make a signal."""

    def __init__(self, words: tuple[str, ...], cwd: Path, env: Mapping[str, str] | None) -> None:
        self._master, slave = pty.openpty()
        self._printed = b""
        self.process = subprocess.Popen(
            [BYOC, *words],
            cwd=cwd,
            env=environment({"TERM": "dumb", **(env or {})}),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: self._take(slave),  # noqa: PLW1509 - no other thread is in the middle of anything
        )
        self.mode = termios.tcgetattr(slave)
        self._slave = slave
        threading.Thread(target=self._read, daemon=True).start()

    @staticmethod
    def _take(slave: int) -> None:
        """Make it the session's terminal, with what nohup ignores undone."""
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    @property
    def text(self) -> str:
        """What is on it, without colours."""
        return _CONTROL.sub("", self._printed.decode(errors="replace"))

    def until(self, text: str, timeout: float = 120) -> None:
        """Wait until `text` is on it."""

        def there() -> bool:
            if text in self.text:
                return True
            assert self.process.poll() is None, f"it ended ({self.process.returncode}):\n{self.text}"
            return False

        wait_for(there, timeout, lambda: f"'{text}' never came:\n{self.text}")

    def type(self, text: str) -> None:
        """Press keys; "\\x03" is Ctrl-C."""
        os.write(self._master, text.encode())

    def end(self, timeout: float = 120) -> int:
        """Wait for byoc's end, and see that it left the terminal as it was."""
        code = self.process.wait(timeout)
        assert termios.tcgetattr(self._slave) == self.mode
        # What it printed last is still on its way; a terminal keeps the order.
        os.write(self._slave, _END)
        wait_for(lambda: self._printed.endswith(_END))
        self._printed = self._printed.removesuffix(_END)
        return code

    def close(self) -> None:
        """Kill what a failed test left, whoever has the terminal."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._slave)

    def _read(self) -> None:
        with suppress(OSError):  # nobody has it any more
            while data := os.read(self._master, 65_536):
                self._printed += data
        os.close(self._master)
