"""Metrics as curves in the terminal: braille dots, two charts beside each other where there is room."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from byoc_cli.console import Console

_ROWS = 8  # of a chart, without its title and its axis
_MIN_COLUMNS = 16
_SIDE_BY_SIDE_COLUMNS = 72
_GAP = 2


def show_curves(console: Console, metrics: Mapping[str, Sequence[float]]) -> None:
    """Print a chart of each metric that has two numbers to draw; x is the number of the value, from 1."""
    drawn = {name: values for name, values in metrics.items() if sum(map(math.isfinite, values)) > 1}
    if drawn and not console.out.encoding.startswith("utf"):
        console.log(f"the curves are not drawn: stdout is {console.out.encoding}, and they need UTF-8")
        return
    beside = 2 if len(drawn) > 1 and console.width >= _SIDE_BY_SIDE_COLUMNS else 1
    width = max(_MIN_COLUMNS, (console.width - 1 - _GAP * (beside - 1)) // beside)
    charts = [chart(name, values, width) for name, values in drawn.items()]
    for at in range(0, len(charts), beside):
        console.result("")
        for number, cells in enumerate(zip(*charts[at : at + beside], strict=True)):
            line = (" " * _GAP).join(cell.ljust(width) for cell in cells).rstrip()
            console.out.print(line, style="bold" if number == 0 else "cyan", markup=False, highlight=False)


def chart(name: str, values: Sequence[float], width: int) -> list[str]:
    """Draw one curve in lines of at most `width` characters; where it is nan or infinite there is a gap."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    labels = [""] * _ROWS
    if low == high:
        labels[_ROWS // 2] = f"{low:.4g}"
    else:
        labels[0], labels[-1] = f"{high:.4g}", f"{low:.4g}"
    gutter = max(map(len, labels))
    columns = max(2, width - gutter - 2)
    dots = _dots(values, low, high, columns)
    lines = [f"{label:>{gutter}} {'┤' if label else '│'}{row}" for label, row in zip(labels, dots, strict=True)]
    ends = "1" + str(len(values)).rjust(columns - 1)
    return [name[:width], *lines, f"{'':{gutter}} └{'─' * columns}", f"{'':{gutter}}  {ends}"]


def _dots(values: Sequence[float], low: float, high: float, columns: int) -> list[str]:
    """Draw on a grid of 2 x 4 dots for each character."""
    from plotille import Canvas

    wide, tall = 2 * columns, 4 * _ROWS
    # Divided first: the distance between the largest numbers is infinite.
    largest = max(abs(low), abs(high)) or 1.0
    distance = high / largest - low / largest

    def place(point: tuple[int, float]) -> tuple[float, float]:
        at, value = point
        x = at / max(1, len(values) - 1) * (wide - 1)
        y = (value / largest - low / largest) / distance * (tall - 1) if distance else tall / 2 - 1
        return round(x), round(y)

    canvas = Canvas(columns, _ROWS, 0, 0, wide, tall)
    for stroke in _strokes(values, every=max(1, len(values) // (4 * wide))):
        places = [place(point) for point in stroke]
        canvas.point(*places[0])
        for start, end in itertools.pairwise(places):
            canvas.line(*start, *end)
    drawn: str = canvas.plot(linesep="\n")
    return drawn.replace("\u2800", " ").split("\n")


def _strokes(values: Sequence[float], every: int) -> Iterator[list[tuple[int, float]]]:
    """Give what is drawn without lifting the pen; of `every` many neighbours the lowest and the highest are enough."""
    for finite, group in itertools.groupby(enumerate(values), lambda point: math.isfinite(point[1])):
        if not finite:
            continue
        points = list(group)
        if every == 1:
            yield points
            continue
        buckets = [points[at : at + every] for at in range(0, len(points), every)]
        extremes = ({min(some, key=_value), max(some, key=_value)} for some in buckets)
        yield [point for some in extremes for point in sorted(some)]


def _value(point: tuple[int, float]) -> float:
    return point[1]
