"""Ctrl-C and SIGTERM as calls instead of exceptions: a recipe stops its container and keeps what it made."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

from byoc_cli.errors import READER_GONE, Interrupted

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupts:
    """While it is entered, a signal makes a call, in a thread of its own; what is called is set by `on_signal`.

    At first there is nothing to stop yet: the first signal is told to `say` and waits for `check`, so that nothing is
    left half-made; the second raises Interrupted where the program is.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self.signal = 0
        self._calls: list[Callable[[], object]] = [lambda: say("stopping; press Ctrl-C again to stop at once")]
        self._after: Callable[[], object] | None = None
        self._threads: list[threading.Thread] = []
        self._before: dict[signal.Signals, object] = {}

    def on_signal(self, *calls: Callable[[], object], then_raise: bool = False) -> None:
        """Set what the first, the second, … signal from now on does; those after them do nothing, or raise again."""
        self._calls = list(calls)
        self._after = None if then_raise else _nothing

    def check(self) -> None:
        """Raise Interrupted if a signal came."""
        if self.signal:
            raise Interrupted(self.signal)

    def reader_gone(self) -> None:
        """Take it for a signal that nobody reads any more what is said; any thread may call it."""
        if not self.signal:
            self._handle(READER_GONE - 128, None)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # A signal that is ignored (nohup) stays so.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        for thread in self._threads:
            thread.join()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        first = not self.signal
        self.signal = self.signal or number
        if self._calls:
            call = self._calls.pop(0)
            thread = threading.Thread(target=call, daemon=True)
            self._threads.append(thread)
            thread.start()
            if not self._calls and self._after:
                self._calls = [self._after]
        elif first or number == signal.SIGINT:
            raise Interrupted(self.signal)


def _nothing() -> None:
    """All that can be done is being done."""
