"""The whole path on real input: build, train, serve, predict, stop; the commands are those of any user.

`make demo` runs it, with the machine made ready. The commands run in container/, an ordinary byoc project.
"""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = REPOSITORY / "container"
PICTURE = PROJECT / "cat.png"
# The command of this clone, not whichever is first on PATH.
BYOC = Path(sys.executable).parent / "byoc"
DEFAULT_PORT = 8080
PICTURE_COLUMNS = 64


class StepFailedError(Exception):
    """A command of the demo failed; its own message is on the screen already."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@dataclass
class Demo:
    """The commands so far, and how long each took."""

    console: Console
    command: Path = BYOC
    project: Path = PROJECT
    seconds: dict[str, float] = field(default_factory=dict)
    endpoint_may_run: bool = False

    def play(self) -> None:
        """Run the path; the endpoint is stopped whatever happens."""
        self.console.print(f"The picture: {PICTURE.relative_to(REPOSITORY)}")
        show_picture(PICTURE, self.console)
        self.byoc("build")
        run_folder = self.byoc("local-train", "--hyperparam", "train-steps=100", result_wanted=True)
        try:
            self.endpoint_may_run = True
            self.byoc("serve", "--detach", *port_options())
            self.byoc("predict", PICTURE.name)
            self.byoc("stop")
            self.endpoint_may_run = False
        finally:
            if self.endpoint_may_run:
                self.clean_up()
        self.report(run_folder)

    def byoc(self, *arguments: str, result_wanted: bool = False) -> str:
        """Run one command as a user would type it; return the last line of its stdout if that is wanted."""
        self.console.print(f"\n[bold]$ {shlex.join(['byoc', *arguments])}[/]", highlight=False)
        started = time.monotonic()
        exit_code, result = run([str(self.command), *arguments], self.project, result_wanted=result_wanted)
        self.seconds[f"byoc {arguments[0]}"] = time.monotonic() - started
        if exit_code != 0:
            raise StepFailedError(exit_code)
        return result

    def clean_up(self) -> None:
        """Stop the endpoint after a failure. There may be none; what stop says about that is not news."""
        subprocess.run([self.command, "stop"], cwd=self.project, capture_output=True, check=False)

    def report(self, run_folder: str) -> None:
        """Print where the training curve is and how long each step took."""
        curve = self.project / run_folder / "metrics.png"
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for step, seconds in self.seconds.items():
            table.add_row(step, f"{seconds:.1f} s")
        table.add_row("[bold]all steps[/]", f"[bold]{sum(self.seconds.values()):.1f} s[/]")
        self.console.print()
        self.console.print("Training curve:", style="bold")
        self.console.print(str(curve), soft_wrap=True, highlight=False)
        self.console.print("\nTime of each step:", style="bold")
        self.console.print(table, highlight=False)


def show_picture(path: Path, console: Console) -> None:
    """Draw a picture with half blocks: each character cell is two pixels, one above the other."""
    if not console.is_terminal or console.color_system is None:
        console.print("(not drawn: this output is not a colour terminal)")
        return
    with Image.open(path) as original:
        columns = min(PICTURE_COLUMNS, console.width, original.width)
        rows = max(2, round(original.height * columns / original.width) // 2 * 2)
        pixels = original.convert("RGB").resize((columns, rows), Image.Resampling.LANCZOS).tobytes()

    def color(column: int, row: int) -> Color:
        start = 3 * (row * columns + column)
        return Color.from_rgb(*pixels[start : start + 3])

    for row in range(0, rows, 2):
        cells = [
            Segment("▀", Style(color=color(column, row), bgcolor=color(column, row + 1))) for column in range(columns)
        ]
        console.print(Segments([*cells, Segment("\n")]), end="")


def port_options(port: int = DEFAULT_PORT) -> list[str]:
    """Return nothing when `port` (byoc's own default) is free, else the option that names a free one."""
    with socket.socket() as probe:
        # Connections of an earlier run that the kernel still remembers do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                return ["--port", str(free.getsockname()[1])]
    return []


def run(command: Sequence[str], folder: Path, *, result_wanted: bool) -> tuple[int, str]:
    """Run a command in `folder`; return its exit code and the last line of its stdout.

    Where the result is not wanted, stdout stays the terminal itself, and the command may use its colours.
    """
    stdout = subprocess.PIPE if result_wanted else None
    last_line = ""
    with subprocess.Popen(command, cwd=folder, stdout=stdout, text=True, errors="replace") as process:
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                last_line = line.strip() or last_line
            return process.wait(), last_line
        except KeyboardInterrupt:
            # The terminal has sent Ctrl-C to byoc too, which now cleans up. Not to wait would cut that short.
            wait_in_peace(process)
            raise
        except SystemExit:
            process.terminate()
            wait_in_peace(process)
            raise


def wait_in_peace(process: subprocess.Popen[str]) -> None:
    """Wait for a process that is ending, whatever more signals arrive: it gets them as well."""
    while process.poll() is None:
        try:
            process.wait()
        except (KeyboardInterrupt, SystemExit):
            continue


def on_sigterm(*_: object) -> NoReturn:
    """End as an interrupted program does, by way of every `finally`."""
    raise SystemExit(128 + signal.SIGTERM)


def main() -> int:
    """Play the demo; the exit code is that of the step that failed."""
    signal.signal(signal.SIGTERM, on_sigterm)
    if not BYOC.exists():
        print("error: byoc is not installed here\n\nhint: make demo", file=sys.stderr)
        return 3
    console = Console()
    try:
        Demo(console).play()
    except StepFailedError as failure:
        print(f"\nThe demo ends here: the step above failed (exit code {failure.exit_code}).", file=sys.stderr)
        return failure.exit_code
    except KeyboardInterrupt:
        print("\nThe demo was interrupted; no endpoint is left running.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
