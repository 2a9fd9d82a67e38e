"""The terminal: results on stdout, all else on stderr, and nothing drawn where nobody looks."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest

from byoc_cli.console import Console
from byoc_cli.errors import ByocError, UsageError


class Text(io.StringIO):
    """A stream that may be a terminal."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal


@dataclass
class Streams:
    out: Text
    err: Text
    stdin: Text

    def console(self, *, quiet: bool = False, verbose: bool = False, as_json: bool = False) -> Console:
        return Console(
            quiet=quiet, verbose=verbose, as_json=as_json, stdout=self.out, stderr=self.err, stdin=self.stdin
        )


@pytest.fixture
def streams() -> Streams:
    return Streams(Text(), Text(), Text())


def test_results_go_to_stdout_and_the_rest_to_stderr(streams: Streams) -> None:
    console = streams.console()
    console.log("working [1/2]")
    console.warn("careful", "do this")
    console.result("my-model:latest")
    console.error(ByocError("it failed\nbecause", hint="try [that]"))
    assert streams.out.getvalue() == "my-model:latest\n"
    assert streams.err.getvalue() == (
        "working [1/2]\nwarning: careful\nhint: do this\nerror: it failed\nbecause\n\nhint: try [that]\n"
    )


def test_quiet_leaves_results_warnings_and_errors(streams: Streams) -> None:
    console = streams.console(quiet=True, verbose=True)
    console.log("log")
    console.detail("detail")
    console.output(b"container\n")
    console.warn("careful")
    console.error(ByocError("it failed"))
    console.result("result")
    assert streams.out.getvalue() == "result\n"
    assert streams.err.getvalue() == "warning: careful\nerror: it failed\n"


@pytest.mark.parametrize(("verbose", "said"), [(False, ""), (True, "more\n")])
def test_details_are_for_those_who_ask(streams: Streams, verbose: bool, said: str) -> None:
    streams.console(verbose=verbose).detail("more")
    assert streams.err.getvalue() == said


def test_muted_says_warnings_and_errors_only(streams: Streams) -> None:
    muted = streams.console().muted()
    muted.log("log")
    muted.warn("careful")
    assert streams.err.getvalue() == "warning: careful\n"


@pytest.mark.parametrize(("terminal", "text"), [(False, '{"a": ["ü"]}\n'), (True, '{\n  "a": [\n    "ü"\n  ]\n}\n')])
def test_json_is_one_line_for_programs(streams: Streams, terminal: bool, text: str) -> None:
    streams.out.terminal = terminal
    streams.console(as_json=True).json({"a": ["ü"]})
    assert streams.out.getvalue() == text


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (b"loss=1", "loss=1\nerror: x\n"),
        (b"loss=1\n", "loss=1\nerror: x\n"),
        (b"10%\r", "10%\rerror: x\n"),
        (b"", "error: x\n"),
    ],
)
def test_what_we_say_starts_on_a_line_of_its_own(streams: Streams, printed: bytes, said: str) -> None:
    console = streams.console()
    console.output(printed)
    console.error(ByocError("x"))
    assert streams.err.getvalue() == said


def test_a_container_s_bytes_go_through_untouched() -> None:
    raw = io.BytesIO()
    stderr = io.TextIOWrapper(raw, encoding="utf-8")
    console = Console(stderr=stderr)
    console.output(b"\xff\x00\x1b[31m[bold]\r\n")
    assert raw.getvalue() == b"\xff\x00\x1b[31m[bold]\r\n"


def test_raw_bytes_follow_what_was_printed_before() -> None:
    raw = io.BytesIO()
    console = Console(stdout=io.TextIOWrapper(raw, encoding="utf-8"))
    console.result("first")
    console.raw(b"\xff\xfe")
    assert raw.getvalue() == b"first\n\xff\xfe"


def test_rows_are_aligned_and_have_no_trailing_space(streams: Streams) -> None:
    streams.console().rows(["NAME", "STATE", "PORT"], [["job-1", "running", "8080"], ["j", "exited", ""]])
    assert streams.out.getvalue() == "NAME   STATE    PORT\njob-1  running  8080\nj      exited\n"


def test_bars(streams: Streams) -> None:
    streams.console().bars([("cat", 1.0), ("[dog]", 0.5), ("none", 0.0), ("more", 1.7), ("half", 0.0125)])
    assert streams.out.getvalue().splitlines() == [
        f"cat    {'█' * 30}  100.00%",
        f"[dog]  {'█' * 15}{' ' * 15}   50.00%",
        f"none   {' ' * 30}    0.00%",
        f"more   {'█' * 30}  170.00%",
        f"half   {'▍':30}    1.25%",
    ]


def test_what_stdout_cannot_show_is_shown_otherwise() -> None:
    """The whole program, on a stdout that is not UTF-8."""
    code = (
        "import sys; from byoc_cli.console import Console, forgive; forgive(sys.stdout, sys.stderr); c = Console()\n"
        "c.bars([('caf\\xe9', 0.5)]); c.result('\\xe9 \\udcff'); c.json('\\xe9'); c.log('\\xe9')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert ran.stdout.splitlines() == [f"caf?  {'#' * 15}{' ' * 15}   50.00%".encode(), b"? ?", b'"\\u00e9"']
    assert ran.stderr == b"?\n"
    environment["PYTHONIOENCODING"] = "utf-8:strict"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert ran.stdout.splitlines()[1:] == [b"\xc3\xa9 \xff", b'"\xc3\xa9"'], "a name's own bytes come out again"


def test_nothing_is_drawn_off_a_terminal(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not streams.console().animated
    streams.err.terminal = True
    assert streams.console().animated
    assert not streams.console(quiet=True).animated
    monkeypatch.setenv("TERM", "dumb")
    assert not streams.console().animated


def test_a_long_line_is_not_wrapped(streams: Streams) -> None:
    text = "x " * 300
    console = streams.console()
    console.log(text)
    console.error(ByocError(text))
    assert streams.err.getvalue() == f"{text}\nerror: {text}\n"


@pytest.mark.parametrize("terminals", [(False, False), (True, False), (False, True)])
def test_without_a_terminal_nobody_is_asked(streams: Streams, terminals: tuple[bool, bool]) -> None:
    streams.stdin.terminal, streams.err.terminal = terminals
    with pytest.raises(UsageError, match="nobody is there to be asked") as caught:
        streams.console().confirm("sure?", about=["  all"], otherwise="--yes")
    assert caught.value.hint == "say --yes"


@pytest.mark.parametrize(
    ("answer", "yes"), [("y\n", True), ("YES\n", True), (" y \n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_on_a_terminal_yes_is_said_in_so_many_words(streams: Streams, answer: str, yes: bool) -> None:
    streams.stdin = Text(answer)
    streams.stdin.terminal = streams.err.terminal = True
    assert streams.console(quiet=True).confirm("remove [all]?", about=["  run [a]"], otherwise="--yes") is yes
    shown = re.sub(r"\x1b\[[0-9;]*m", "", streams.err.getvalue())
    assert shown == "  run [a]\nremove [all]? [y/N] ", "with --quiet, too, it is said what is asked about"


def test_what_is_quick_shows_no_bar(streams: Streams) -> None:
    streams.err.terminal = True
    with streams.console().bytes_done("collecting", 100) as advance:
        advance(100)
    assert streams.err.getvalue() == ""


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_on_a_terminal_means_nothing_more(environment: dict[str, str], coloured: bool) -> None:
    outer, inner = pty.openpty()
    code = (
        "from byoc_cli.console import Console; from byoc_cli.errors import ByocError;"
        "Console().error(ByocError('it failed', hint='try that'))"
    )
    whole = {**os.environ, "TERM": "xterm", **environment}
    subprocess.run([sys.executable, "-c", code], stderr=inner, env=whole, check=True, timeout=60)
    os.close(inner)
    seen = os.read(outer, 10_000)
    os.close(outer)
    assert (b"\x1b[31m" in seen or b"\x1b[1;31m" in seen) == coloured
    assert b"it failed" in seen
    assert b"try that" in seen
