"""A push as a person can read it: a bar for each layer and one total with MB/s; plain lines off a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from byoc_cli.console import Console

if TYPE_CHECKING:
    from rich.progress import TaskID

    from byoc_cli.engine.push import LayerProgress

_LINE_SECONDS = 10.0
_THERE = ("Layer already exists", "Mounted from")
_DONE = ("Pushed", *_THERE)


class PushView:
    """A PushWatcher; `name` stands before each line where several pushes go on at once, and none has bars.

    `check` is called at each step: what it raises ends the push.
    """

    def __init__(self, console: Console, name: str = "", *, check: Callable[[], None] = lambda: None) -> None:
        self.console = console
        self.name = f"{name}: " if name else ""
        self.check = check
        self._start = self._said = time.monotonic()
        self._sent: dict[str, tuple[int, int]] = {}
        self._waiting: set[str] = set()
        self._lock = threading.Lock()
        self._draws = console.animated and not name
        self._bars: _Bars | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bars:
            self._bars.stop()
        if kind is None and _sum(self._sent)[0]:
            seconds = time.monotonic() - self._start
            self.console.log(f"{self.name}sent {self._so_far()} of layers in {seconds:.1f} s ({self._speed()})")

    def __call__(self, at: LayerProgress) -> None:
        """Take how far a layer is."""
        self.check()
        with self._lock:
            self._count(at)
            if self._draws:
                self._bars = self._bars or _Bars(self.console)
                self._bars.draw(at, self._sent, self._speed())
            else:
                self._print(at)

    def _count(self, at: LayerProgress) -> None:
        if at.total:
            self._sent[at.layer] = (at.done, at.total)
        elif at.status == "Pushed" and at.layer in self._sent:
            # The last message before it need not have been at the end.
            total = self._sent[at.layer][1]
            self._sent[at.layer] = (total, total)

    def _print(self, at: LayerProgress) -> None:
        if at.status.startswith(_DONE):
            self.console.log(f"{self.name}{at.layer}: {at.status.lower()}")
        elif at.status.startswith("Retrying"):
            # The engine counts the seconds down, a message for each.
            if at.layer not in self._waiting:
                self.console.log(f"{self.name}{at.layer}: {at.status.lower()}")
            self._waiting.add(at.layer)
            return
        elif time.monotonic() - self._said > _LINE_SECONDS:
            self._said = time.monotonic()
            self.console.log(f"{self.name}{self._so_far()}, {self._speed()}")
        self._waiting.discard(at.layer)

    def _so_far(self) -> str:
        done, total = _sum(self._sent)
        return _size(done) if done >= total else f"{_size(done)} of {_size(total)}"

    def _speed(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-3)
        return f"{_sum(self._sent)[0] / 1e6 / seconds:,.1f} MB/s"


class _Bars:
    """A bar for each layer that is sent, a line for the total."""

    def __init__(self, console: Console) -> None:
        from rich import progress  # late: it takes longer to import than a push that has nothing to do

        self._progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(30),
            progress.DownloadColumn(),
            # rich's own column starts anew when a total changes, and ends with a question mark.
            progress.TextColumn("{task.fields[speed]}"),
            console=console.err,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._total: TaskID | None = None

    def draw(self, at: LayerProgress, sent: dict[str, tuple[int, int]], speed: str) -> None:
        if self._total is None:
            self._progress.start()
            self._total = self._progress.add_task("total", total=None, speed="")
        if at.layer not in self._tasks:
            self._tasks[at.layer] = self._progress.add_task(at.layer, total=None, speed="")
        done, total = sent.get(at.layer, (0, 0))
        self._progress.update(
            self._tasks[at.layer],
            description=f"{at.layer} {at.status.lower()}",
            completed=done,
            total=total or None,
            # What is there already takes no line: a base image has many such layers.
            visible=not at.status.startswith(_THERE),
        )
        done, total = _sum(sent)
        self._progress.update(self._total, completed=done, total=total or None, speed=speed if total else "")

    def stop(self) -> None:
        self._progress.stop()


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _sum(sent: dict[str, tuple[int, int]]) -> tuple[int, int]:
    return sum(done for done, _ in sent.values()), sum(total for _, total in sent.values())
