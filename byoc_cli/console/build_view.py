"""A build as a person can read it: step n of m, its time, the tail of what runs; plain lines off a terminal."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.text import Text

from byoc_cli.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

_USERS_STEP = re.compile(r"^\[(?!internal|auth)[^\]]*\d+/\d+\]")
_EXPORT = re.compile(r"^(exporting|exporting to image|pushing|importing)")
_TAIL = 4
_HEARTBEAT_SECONDS = 30.0


@dataclass
class _Step:
    title: str
    since: float = field(default_factory=time.monotonic)
    tail: list[str] = field(default_factory=list)
    said: float = field(default_factory=time.monotonic)


class BuildView:
    """A BuildWatcher. On a terminal what runs is drawn below what is done; elsewhere each gets a line."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._running: dict[str, _Step] = {}
        self._live = (
            Live(console=console.err, get_renderable=self._render, transient=True, refresh_per_second=8)
            if console.animated
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._running.clear()
            self._live.stop()

    def started(self, step: str, title: str) -> None:
        """Show a step of the Dockerfile, or the export; the builder's inner ones with -v."""
        if not (_USERS_STEP.match(title) or _EXPORT.match(title) or self.console.verbose):
            return
        self._running[step] = _Step(" ".join(title.split()))
        if not self._live and " RUN " in title:  # the rest is quick
            self.console.log(f"{_short(title)} …")

    def output(self, step: str, text: str) -> None:
        """Keep the tail, and with -v print it all."""
        shown = self._running.get(step)
        if shown is None:
            return
        lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
        shown.tail = (shown.tail + lines)[-_TAIL:]
        if self.console.verbose:
            for line in lines:
                self.console.log(f"    {line}")
        elif not self._live and time.monotonic() - shown.said > _HEARTBEAT_SECONDS and lines:
            shown.said = time.monotonic()
            self.console.log(f"    {time.monotonic() - shown.since:.0f} s: {lines[-1][:100]}")

    def finished(self, step: str, seconds: float, *, cached: bool) -> None:
        """Say how long it took."""
        shown = self._running.pop(step, None)
        if shown is None:
            return
        took = "cached" if cached else f"{seconds:.1f} s"
        self.console.log(f"{_short(shown.title)}  {took}")

    def failed(self, step: str, error: str) -> None:
        """Say where; why is said by the error at the end."""
        shown = self._running.pop(step, None)
        if shown is not None and "context canceled" not in error:
            self.console.log(f"{_short(shown.title)}  failed")

    def _render(self) -> RenderableType:
        text = Text()
        for step in list(self._running.values()):
            text.append(f"{_short(step.title)}  {time.monotonic() - step.since:.0f} s\n", style="bold")
            for line in step.tail:
                text.append(f"    {line[: max(20, self.console.err.width - 6)]}\n", style="dim")
        return text


def _short(title: str) -> str:
    title = " ".join(re.sub(r"--mount=\S+ ", "", title).split())
    return title if len(title) <= 100 else title[:99] + "…"
