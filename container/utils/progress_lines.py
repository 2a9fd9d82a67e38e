"""Progress on stderr: a bar on a terminal, a few plain lines anywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLAIN_STEP_PERCENT = 20


class Progress:
    """Shows how far each piece of work is."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, verb: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        """Yield a function that takes how much is done and how much there is (0: nobody knows)."""
        if not self._console.is_terminal:
            yield self._plain(verb, unit)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Bars(*columns, console=self._console) as bars:
            task = bars.add_task(verb, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total or None)

    def _plain(self, verb: str, unit: str) -> Callable[[int, int], None]:
        shown = 0

        def advance(done: int, total: int) -> None:
            nonlocal shown
            percent = 100 * done // total if total else 0
            if percent >= shown + _PLAIN_STEP_PERCENT:
                shown = percent - percent % _PLAIN_STEP_PERCENT
                self.say(f"{verb}: {done:,} of {total:,} {unit}")

        return advance
