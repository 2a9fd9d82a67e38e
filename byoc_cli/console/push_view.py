"""A push as a person can read it: a bar for each layer and one total with MB/s; plain lines off a terminal."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from rich import progress

from byoc_cli.console import Console

if TYPE_CHECKING:
    from rich.progress import TaskID

    from byoc_cli.engine.push import LayerProgress

_LINE_SECONDS = 10.0
_DONE = ("Pushed", "Layer already exists", "Mounted from")


class PushView:
    """A PushWatcher; `name` stands before each line where several pushes go on at once."""

    def __init__(self, console: Console, name: str = "", *, bars: bool = True) -> None:
        self.console = console
        self.name = f"{name}: " if name else ""
        self._start = self._said = time.monotonic()
        self._sent: dict[str, tuple[int, int]] = {}
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._bars = _bars(console) if bars and console.animated else None

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
            self._total = self._bars.add_task("total", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()
        sent = sum(done for done, _ in self._sent.values())
        seconds = time.monotonic() - self._start
        if sent:
            self.console.log(
                f"{self.name}sent {sent / 1e6:,.1f} MB in {seconds:.1f} s ({sent / 1e6 / seconds:,.1f} MB/s)"
            )

    def __call__(self, at: LayerProgress) -> None:
        """Take how far a layer is."""
        with self._lock:
            finished = at.status.startswith(_DONE)
            done, total = self._sent.get(at.layer, (0, 0))
            if at.total:
                done, total = at.done, at.total
            elif at.status == "Pushed":
                done = total
            if at.total or at.layer in self._sent:
                self._sent[at.layer] = (done, total)
            if self._bars:
                self._draw(at, done, total, finished=finished)
            elif finished:
                self.console.log(f"{self.name}{at.layer}: {at.status.lower()}")
            elif time.monotonic() - self._said > _LINE_SECONDS:
                self._said = time.monotonic()
                self.console.log(f"{self.name}{self._rate()}")

    def _draw(self, at: LayerProgress, done: int, total: int, *, finished: bool) -> None:
        assert self._bars is not None
        if at.layer not in self._tasks:
            self._tasks[at.layer] = self._bars.add_task(at.layer, total=total or None)
        task = self._tasks[at.layer]
        words = f"{at.layer} {at.status.lower()}"
        if finished:
            self._bars.update(task, description=words, total=total or 1, completed=total or 1)
        else:
            self._bars.update(task, description=words, total=total or None, completed=done)
        sent = [sum(part) for part in zip(*self._sent.values(), strict=True)] or [0, 0]
        self._bars.update(self._total, completed=sent[0], total=sent[1] or None)

    def _rate(self) -> str:
        done, total = (sum(part) for part in zip(*self._sent.values(), strict=True)) if self._sent else (0, 0)
        return f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {done / 1e6 / (time.monotonic() - self._start):.1f} MB/s"


def _bars(console: Console) -> progress.Progress:
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(30),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
    )
    return progress.Progress(*columns, console=console.err, transient=True)
