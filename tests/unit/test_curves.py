"""Curves in the terminal."""

from __future__ import annotations

import io
import math
import re

import pytest

from byoc_cli.console import Console
from byoc_cli.console.curves import chart, show_curves


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def dots(lines: list[str]) -> list[str]:
    """The drawing alone: what is right of the axis."""
    return [line[max(line.find("┤"), line.find("│")) + 1 :] for line in lines[1:-2]]


def test_a_curve_goes_down_from_the_highest_to_the_lowest() -> None:
    lines = chart("loss", [10 - number for number in range(11)], 40)
    assert lines[0] == "loss"
    assert lines[1].startswith("10 ┤⠉")
    assert lines[-3].startswith(" 0 ┤ ")
    assert lines[-3].endswith("⣀")
    assert lines[-2] == "   └" + "─" * 36
    assert lines[-1] == "    1" + " " * 33 + "11"
    filled = [len(row.rstrip()) for row in dots(lines)]
    assert filled == sorted(filled), "each row goes on where the one above it ended"


@pytest.mark.parametrize("width", [16, 39, 80])
@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0],
        [5.0] * 10,
        [0.0] * 3,
        [1e308, -1e308, 0],
        [5e-324, 0],
        [-math.inf, 1, math.nan, 2, math.inf],
        [1e-9, 123456789.123],
        [float(number % 7) for number in range(10_000)],
    ],
)
def test_it_is_as_wide_as_it_may_be(values: list[float], width: int) -> None:
    lines = chart("a-metric-with-quite-a-long-name", values, width)
    assert len(lines) == 11
    assert max(map(len, lines)) == width
    assert any(char > "\u2800" for line in dots(lines) for char in line)


def test_what_does_not_change_is_a_line_in_the_middle() -> None:
    lines = chart("lr", [0.1, 0.1, 0.1], 20)
    drawn = [number for number, row in enumerate(dots(lines)) if row.strip()]
    assert drawn == [4]
    assert lines[1 + 4].startswith("0.1 ┤⠉")


def test_where_there_is_no_number_there_is_a_gap() -> None:
    whole = "".join(dots(chart("m", [1, 1, 1, 1, 1], 40)))
    torn = "".join(dots(chart("m", [1, 1, math.nan, 1, 1], 40)))
    assert len(whole.split()) == 1
    assert len(torn.split()) == 2


def test_a_peak_among_many_is_seen() -> None:
    values = [0.0] * 100_000
    values[50_001] = 1.0
    top = dots(chart("m", values, 40))[0]
    assert top.strip()
    assert abs(len(top) - len(top.lstrip()) - len(top) // 2) <= len(top) // 2


# -- on the console ----------------------------------------------------------------------------------------------------


def shown(monkeypatch: pytest.MonkeyPatch, columns: int, metrics: dict[str, list[float]], **environment: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"COLUMNS": str(columns), "TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    show_curves(Console(stdout=stream, stderr=io.StringIO()), metrics)
    return stream.getvalue()


TWO: dict[str, list[float]] = {"loss": [2, 1], "[bold]accuracy": [0, 1]}


@pytest.mark.parametrize(("columns", "rows"), [(80, 12), (72, 12), (71, 24), (20, 24), (5, 24)])
def test_two_are_beside_each_other_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, columns: int, rows: int
) -> None:
    lines = re.sub("\x1b\\[\\d*m", "", shown(monkeypatch, columns, TWO, NO_COLOR="1")).splitlines()
    assert len(lines) == rows
    assert max(map(len, lines)) < max(columns, 17)
    assert "[bold]accuracy" in "\n".join(lines)


def test_colour_is_left_out_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[36m" in shown(monkeypatch, 80, TWO)
    assert "\x1b[3" not in shown(monkeypatch, 80, TWO, NO_COLOR="1")
    assert "\x1b" not in shown(monkeypatch, 80, TWO, TERM="dumb")


def test_what_has_no_two_numbers_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 80, {"a": [], "b": [1], "c": [1, math.nan], "d": [math.inf] * 3}) == ""


def test_what_cannot_be_written_is_not_drawn_and_said() -> None:
    stdout, stderr = io.TextIOWrapper(io.BytesIO(), encoding="ascii"), io.StringIO()
    show_curves(Console(stdout=stdout, stderr=stderr), TWO)
    stdout.flush()
    assert stdout.buffer.getvalue() == b""
    assert "stdout is ascii" in stderr.getvalue()
