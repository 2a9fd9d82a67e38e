"""How a recipe tells what it does; the terminal's side is in console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Advance(Protocol):
    """Counts up."""

    def __call__(self, amount: int) -> None:
        """`amount` more is done."""


class Progress(Protocol):
    """What a recipe says while it runs."""

    def log(self, text: str) -> None:
        """Say a thing that is worth a line."""

    def warn(self, text: str, hint: str = "") -> None:
        """Say a thing that may go wrong, and what to do about it."""

    def output(self, data: bytes, prefix: str = "") -> None:
        """Hand on what a container printed: whole lines as a rule, untouched but for a prefix before each (T-69)."""

    def bytes_done(self, label: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Show bytes as they are done, where it lasts."""


class Heard:
    """A `Progress` whose reader may go (`byoc local-train 2>&1 | head`): `on_gone` is called, and no more is said.

    A recipe does not break off wherever it happens to say something.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._gone = False
        self.on_gone: Callable[[], object] = bool

    def log(self, text: str) -> None:
        self._say(lambda: self._progress.log(text))

    def warn(self, text: str, hint: str = "") -> None:
        self._say(lambda: self._progress.warn(text, hint))

    def output(self, data: bytes, prefix: str = "") -> None:
        self._say(lambda: self._progress.output(data, prefix))

    @contextmanager
    def bytes_done(self, label: str, total: int | None = None) -> Iterator[Advance]:
        with self._progress.bytes_done(label, total) as advance:
            yield lambda amount: self._say(lambda: advance(amount))

    def _say(self, call: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            call()
        except BrokenPipeError:
            if not self._gone:
                self._gone = True
                self.on_gone()
