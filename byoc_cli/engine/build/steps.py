"""The steps of a build: what they printed, and how one failed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from byoc_cli.engine.build.request import BuildFailed
from byoc_cli.engine.build_progress import BuildWatcher

TAIL_LINES = 20
_SYNTAX_REMEDY = "the line `# syntax=…` asks a registry for a builder: leave it out where none answers; "


class Steps:
    """Keeps the log and each step's tail, and passes everything on."""

    def __init__(self, watcher: BuildWatcher, log: IO[str]) -> None:
        self.watcher = watcher
        self.log = log
        self.titles: dict[str, str] = {}
        self.tails: dict[str, deque[str]] = {}
        self.failure: tuple[str, str] | None = None

    def started(self, step: str, title: str) -> None:
        self.titles[step] = title
        self.log.write(f"=> {title}\n")
        self.watcher.started(step, title)

    def output(self, step: str, text: str) -> None:
        self.log.write(text)
        tail = self.tails.setdefault(step, deque(maxlen=TAIL_LINES + 1))
        for line in text.splitlines(keepends=True):
            if tail and not tail[-1].endswith(("\n", "\r")):
                tail[-1] += line
            else:
                tail.append(line)
        self.watcher.output(step, text)

    def finished(self, step: str, seconds: float, *, cached: bool) -> None:
        self.log.write(f"   {'cached' if cached else f'{seconds:.1f} s'}: {self.titles.get(step, '')}\n")
        self.watcher.finished(step, seconds, cached=cached)

    def failed(self, step: str, error: str) -> None:
        self.log.write(f"   failed: {error}\n")
        # What was cancelled because another step failed is not the cause.
        if self.failure is None and "context canceled" not in error:
            self.failure = (step, error)
        self.watcher.failed(step, error)

    def fault(self, log: Path, rest: Sequence[str]) -> BuildFailed:
        """Make the error of a build that failed: the step, its last lines, the exit code, the log."""
        step, error = self.failure or ("", next((line for line in reversed(rest) if line.strip()), "the builder ended"))
        title = self.titles.get(step, "")
        code = re.search(r"(?:exit code: |non-zero code: )(\d+)", error)
        lines = [f"the build failed at {title}" if title else "the build failed"]
        lines += ["  " + line.rstrip() for line in list(self.tails.get(step, ()))[-TAIL_LINES:] if line.strip()]
        lines.append(
            f"exit code {code[1]}" if code else re.sub(r"^ERROR: |failed to (?:solve|build)[^:]*: ", "", error)
        )
        remedy = _SYNTAX_REMEDY if title.startswith("resolve image config for ") else ""
        return BuildFailed("\n".join(lines), hint=f"{remedy}full output: {log}")
