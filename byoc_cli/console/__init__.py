"""The terminal: the only place that imports rich or prints.

Results go to stdout, everything else to stderr. Meaning survives without colour; there is no animation off a
terminal (NO_COLOR, TERM=dumb and FORCE_COLOR are rich's own business). rich is imported when it is first needed.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from byoc_cli.errors import ByocError, UsageError
from byoc_cli.local.output import prefixed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console as RichConsole

_HEARTBEAT_SECONDS = 15.0
_BAR_WIDTH = 30
_PREFIX_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)  # ANSI: one host, one colour


class Console:
    """Two streams, and how much is said on each: `quiet` leaves results, warnings and errors."""

    def __init__(
        self,
        *,
        quiet: bool = False,
        verbose: bool = False,
        as_json: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        stdin: TextIO | None = None,
    ) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.as_json = as_json
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._stdin = stdin or sys.stdin
        self._line_is_open = False  # a container's last line had no newline
        self._prefixes: dict[str, int] = {}

    @cached_property
    def out(self) -> RichConsole:
        """For results."""
        return _rich(self._stdout)

    @cached_property
    def err(self) -> RichConsole:
        """For all that is no result."""
        return _rich(self._stderr)

    @property
    def animated(self) -> bool:
        """Whether stderr is a terminal that can be drawn on."""
        return not self.quiet and self._stderr.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def _plain(self) -> bool:
        """Whether nothing on stderr can have a colour: then rich, which takes 40 ms to be imported, is not needed."""
        return not (self._stderr.isatty() or os.environ.get("FORCE_COLOR"))

    @property
    def _utf8(self) -> bool:
        """Whether stdout can show any character; a stream without bytes below can."""
        return (getattr(self._stdout, "encoding", None) or "utf-8").lower().startswith("utf")

    @property
    def terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return self._stdout.isatty()

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked: stdin and stderr are a terminal."""
        return self._stdin.isatty() and self._stderr.isatty()

    def muted(self) -> Console:
        """The same, saying warnings and errors only."""
        return Console(quiet=True, stdout=self._stdout, stderr=self._stderr, stdin=self._stdin)

    # -- results ------------------------------------------------------------------------------------------------------

    def result(self, text: str) -> None:
        """Print a result for people and for `$(…)`."""
        with written():
            self._stdout.write(text + "\n")
            self._stdout.flush()

    def json(self, content: Any) -> None:
        """Print a result for programs: one JSON document on one line, readable on a terminal."""
        indent = 2 if self._stdout.isatty() else None
        self.result(json.dumps(content, indent=indent, ensure_ascii=not self._utf8))

    def raw(self, data: bytes) -> None:
        """Print bytes as they are."""
        with written():
            self._stdout.flush()
            self._binary(self._stdout).write(data)
            self._binary(self._stdout).flush()

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 where there is none."""
        return shutil.get_terminal_size().columns

    def rows(self, header: Sequence[str], rows: Sequence[Sequence[str]], *, fold: bool = False) -> None:
        """Print a table: columns aligned, nothing drawn, so that `awk` and people can read it.

        With `fold` the last column stands below its row, on a terminal that is too narrow for it.
        """
        widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
        folded = fold and self.terminal and sum(widths) + 2 * (len(widths) - 1) > self.width
        for row in (header, *rows):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            below = f"\n    {row[-1]}" if folded and row[-1] and row is not header else ""
            self.result("  ".join(cells[:-1] if folded else cells).rstrip() + below)

    def bars(self, pairs: Sequence[tuple[str, float]]) -> None:
        """Print (name, share of 1) as bars, the first one marked."""
        width = max(len(name) for name, _ in pairs)
        full, parts = ("█", " ▏▎▍▌▋▊▉") if self._utf8 else ("#", " " * 8)
        for index, (name, share) in enumerate(pairs):
            eighths = round(max(0.0, min(1.0, share)) * _BAR_WIDTH * 8)
            bar = (full * (eighths // 8) + parts[eighths % 8]).rstrip().ljust(_BAR_WIDTH)
            line = f"{name:<{width}}  {bar}  {share:7.2%}"
            self.out.print(line, style="bold green" if index == 0 else None, highlight=False, markup=False)

    # -- conversation -------------------------------------------------------------------------------------------------

    def log(self, text: str, style: str = "dim") -> None:
        """Say a thing that is worth a line; `style` is a terminal's."""
        if not self.quiet:
            self.end_line()
            if self._plain:
                self._stderr.write(text + "\n")
                self._stderr.flush()
            else:
                self.err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """Say a thing for those who ask for more (-v)."""
        if self.verbose:
            self.log(text)

    def warn(self, text: str, hint: str = "") -> None:
        """Say what may go wrong, and what to do about it."""
        self._labelled("warning", "yellow", text, hint, gap=False)

    def error(self, error: ByocError) -> None:
        """Say what went wrong, why, and what to do, in that order."""
        self._labelled("error", "bold red", error.message, error.hint, gap=True)

    def output(self, data: bytes, prefix: str = "") -> None:
        """Hand on what a container printed, untouched; a prefix has its own colour on a terminal."""
        if not self.quiet and data:
            data = prefixed(data, self._coloured(prefix))
            self._stderr.flush()
            stream = self._binary(self._stderr)
            stream.write(data)
            stream.flush()
            self._line_is_open = not data.endswith((b"\n", b"\r"))

    def _coloured(self, prefix: str) -> str:
        if not prefix or self._plain or self.err.no_color:
            return prefix
        number = self._prefixes.setdefault(prefix, len(self._prefixes))
        return f"\x1b[{_PREFIX_COLOURS[number % len(_PREFIX_COLOURS)]}m{prefix}\x1b[0m"

    def end_line(self) -> None:
        """Let what is said next start on a line of its own."""
        if self._line_is_open:
            self._stderr.write("\n")
            self._line_is_open = False

    def _labelled(self, label: str, style: str, text: str, hint: str, *, gap: bool) -> None:
        self.end_line()
        if self._plain:
            remedy = ("\n" if gap else "") + f"hint: {hint}\n" if hint else ""
            self._stderr.write(f"{label}: {text}\n{remedy}")
            self._stderr.flush()
            return
        self.err.print(f"[{style}]{label}:[/{style}] ", end="")
        self.err.print(text, markup=False, highlight=False, soft_wrap=True)
        if hint:
            self.err.print("\n" if gap else "", end="")
            self.err.print("[cyan]hint:[/cyan] ", end="")
            self.err.print(hint, markup=False, highlight=False, soft_wrap=True)

    def confirm(self, question: str, *, about: Sequence[str], otherwise: str) -> bool:
        """List what it is about and ask on a terminal; elsewhere `otherwise` (an option) answers beforehand.

        Raises:
            UsageError: there is nobody to ask.

        """
        listing = Console(stderr=self._stderr)  # with -q, too: nobody should say yes to what is not shown
        for line in about:
            listing.log(line)
        if not self.interactive:
            raise UsageError("nobody is there to be asked (no terminal)", hint=f"say {otherwise}")
        self.err.print(f"{question} [y/N] ", end="", markup=False, highlight=False)
        return self._stdin.readline().strip().lower() in {"y", "yes"}

    def choose(self, question: str, options: Sequence[tuple[str, str]]) -> str:
        """Let somebody at a terminal choose one of (name, about), by its number or its name; asks until one is.

        Raises:
            UsageError: the input has ended.

        """
        names = [name for name, _ in options]
        width = max(len(name) for name in names)
        for number, (name, about) in enumerate(options, 1):
            self.err.print(f"{number:3}  {name:<{width}}  {about}", markup=False, highlight=False)
        while True:
            self.err.print(f"{question} [1-{len(names)}] ", end="", markup=False, highlight=False)
            line = self._stdin.readline()
            if not line:
                self.err.print()
                raise UsageError("nothing was chosen", hint=f"there are {', '.join(names)}")
            said = line.strip().lower()
            if said in names:
                return said
            if said.isdecimal() and 0 < int(said) <= len(names):
                return names[int(said) - 1]

    @contextmanager
    def bytes_done(self, label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Show bytes as they are done, from the second second on."""
        meter = _Meter(self, label, total)
        try:
            yield meter.advance
        finally:
            meter.close()

    @staticmethod
    def _binary(stream: TextIO) -> Any:
        return getattr(stream, "buffer", None) or _Decoding(stream)


@contextmanager
def written() -> Iterator[None]:
    """Say that a result could not be printed: a full disk, a closed stdout. A reader that is gone is another thing."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:  # ValueError: stdout is closed
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ByocError(f"the result cannot be written to stdout\n{reason}", hint="see where stdout goes") from error


class _Decoding:
    """A text stream without bytes below (a test's StringIO) that takes bytes all the same."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data.decode(errors="replace"))

    def flush(self) -> None:
        self._stream.flush()


class _Meter:
    """Bytes so far: a bar on a terminal, a line now and then elsewhere, nothing for what is quick."""

    def __init__(self, console: Console, label: str, total: int | None) -> None:
        self.console = console
        self.label = label
        self.total = total
        self.done = 0
        self._start = self._said = time.monotonic()
        self._bar: Any = None

    def advance(self, amount: int) -> None:
        self.done += amount
        now = time.monotonic()
        if self.console.quiet or now - self._start < 1:
            return
        if self.console.animated:
            self._draw()
        elif now - self._said > _HEARTBEAT_SECONDS:
            self._said = now
            self.console.log(f"{self.label}: {self.done / 1e6:,.0f} MB")

    def _draw(self) -> None:
        from rich import progress

        if self._bar is None:
            columns = [
                progress.TextColumn("{task.description}"),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
            ]
            self._bar = progress.Progress(*columns, console=self.console.err, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total)
        self._bar.update(self._task, completed=self.done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def forgive(*streams: TextIO) -> None:
    """Let no character be an error: a terminal that is not UTF-8, a file's name that is none."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            # In UTF-8 a name's own bytes come out again; elsewhere what cannot be shown is a question mark.
            stream.reconfigure(errors="surrogateescape" if stream.encoding.lower().startswith("utf") else "replace")


def _rich(stream: TextIO) -> RichConsole:
    from rich.console import Console as RichConsole

    return RichConsole(file=stream, soft_wrap=True, highlight=False, emoji=False)
