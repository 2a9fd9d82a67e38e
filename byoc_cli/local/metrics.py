"""Metrics: a job's log through the project's regexes (T-70), as a table and as curves."""

from __future__ import annotations

import csv
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byoc_cli.errors import ByocError
from byoc_cli.local.output import text_lines

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Summary:
    """A metric in one row.

    `low` and `high` leave nan out (they are nan where there is nothing else); `…_at` is a value's number, from 1.
    """

    name: str
    count: int
    first: float
    last: float
    low: float
    low_at: int
    high: float
    high_at: int


@dataclass
class Metrics:
    """Collects values; `points` maps a name to (seconds since the epoch, value)s. Values come when `clock` says.

    `no_numbers` has the first text that a regex took for a value and that is none.
    """

    patterns: Mapping[str, str]
    points: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    no_numbers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._compiled = {name: re.compile(pattern) for name, pattern in self.patterns.items()}

    def feed(self, data: bytes) -> None:
        """Take whole lines; the value is the first group that is a number."""
        if not self._compiled:
            return
        now = self.clock()
        for line in text_lines(data):
            for name, pattern in self._compiled.items():
                for found in pattern.finditer(line):
                    try:
                        value = float(found[1])
                    except (TypeError, ValueError):
                        self.no_numbers.setdefault(name, found[1] or "")
                        continue
                    self.points.setdefault(name, []).append((now, value))

    def final(self, stamp: Any) -> list[dict[str, Any]]:
        """FinalMetricDataList of DescribeTrainingJob; `stamp` formats seconds since the epoch."""
        return [
            {"MetricName": name, "Value": values[-1][1], "Timestamp": stamp(values[-1][0])}
            for name, values in self.points.items()
            if math.isfinite(values[-1][1])  # JSON has no NaN
        ]

    def silent(self) -> list[str]:
        """Names whose regex never matched."""
        return [name for name in self.patterns if name not in self.points]

    def advice(self, *, ended: bool = True) -> list[tuple[str, str]]:
        """What the author of the regexes may have missed (T-70), as (text, hint)s.

        That one never matched is only known of a job that has ended.
        """
        silent = [
            (self._silence(name), f"its regex is '{self.patterns[name]}' (T-70)")
            for name in (self.silent() if ended else [])
        ]
        several = [
            (
                f"metric '{name}': its regex has {pattern.groups} groups, and the first one is the value",
                f"write (?:…) for a group that is no value: '{self.patterns[name]}' (T-70)",
            )
            for name, pattern in self._compiled.items()
            if pattern.groups > 1
        ]
        return silent + several

    def _silence(self, name: str) -> str:
        if name in self.no_numbers:
            return (
                f"metric '{name}' has no value: its first group matched '{self.no_numbers[name]}', which is no number"
            )
        return f"metric '{name}' never matched the log"

    def summaries(self) -> list[Summary]:
        """Each metric in one row, in the order in which they came."""
        return [_summary(name, [value for _, value in values]) for name, values in self.points.items() if values]

    def read_log(self, file: Path, *, without: re.Pattern[bytes] | None = None) -> None:
        """Take what a log holds, `without` cut out of it; when its values came is not known (nan)."""
        self.clock = lambda: math.nan
        with file.open("rb") as opened:
            while lines := opened.readlines(_BLOCK):
                data = b"".join(lines)
                self.feed(without.sub(b"", data) if without else data)

    def read_table(self, file: Path) -> None:
        """Take what `write_table` wrote.

        Raises:
            ValueError: it is no such table.

        """
        points: dict[str, list[tuple[float, float]]] = {}
        with file.open(newline="", encoding="utf-8") as opened:
            rows = csv.reader(opened)
            next(rows, None)
            for name, _, when, value in rows:
                points.setdefault(name, []).append((float(when), float(value)))
        self.points = points

    def write_table(self, file: Path) -> None:
        """Write every value: name, number within its metric from 1, time, value; the whole table or none."""
        part = file.with_name(f".{file.name}.part")
        with part.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(["metric", "index", "time", "value"])
            for name, values in self.points.items():
                writer.writerows([name, index, f"{when:.3f}", value] for index, (when, value) in enumerate(values, 1))
        part.replace(file)

    def draw(self, file: Path, title: str) -> bool:
        """Draw a curve for each metric with at least two values; says whether there was one.

        Raises:
            ByocError: the file cannot be written.

        """
        curves = {name: values for name, values in self.points.items() if len(values) > 1}
        if not curves:
            return False
        # Imported here: it takes longer than most runs' own overhead.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        columns = min(2, len(curves))
        rows = math.ceil(len(curves) / columns)
        figure = Figure(figsize=(5.5 * columns, 3.2 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title)
        for index, (name, values) in enumerate(curves.items(), 1):
            axes = figure.add_subplot(rows, columns, index)
            axes.plot(range(1, len(values) + 1), [value for _, value in values], marker="." if len(values) < 60 else "")
            axes.set_title(name)
            axes.grid(visible=True, alpha=0.3)
        try:
            figure.savefig(file, format="png", dpi=110)
        except OSError as error:
            raise ByocError(f"{file} cannot be written\n{error.strerror}") from error
        return True


def _summary(name: str, values: Sequence[float]) -> Summary:
    numbers = [at for at, value in enumerate(values) if not math.isnan(value)] or [0]
    low, high = min(numbers, key=lambda at: values[at]), max(numbers, key=lambda at: values[at])
    return Summary(name, len(values), values[0], values[-1], values[low], low + 1, values[high], high + 1)
