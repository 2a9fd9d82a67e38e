"""Metrics: a job's log through the project's regexes (T-70), as a table and as curves."""

from __future__ import annotations

import csv
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byoc_cli.local.output import text_lines


@dataclass
class Metrics:
    """Collects values; `points` maps a name to (seconds since the epoch, value)s."""

    patterns: Mapping[str, str]
    points: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._compiled = {name: re.compile(pattern) for name, pattern in self.patterns.items()}

    def feed(self, data: bytes) -> None:
        """Take whole lines; the value is the first group that is a number."""
        if not self._compiled:
            return
        now = time.time()
        for line in text_lines(data):
            for name, pattern in self._compiled.items():
                for found in pattern.finditer(line):
                    try:
                        value = float(found[1])
                    except (TypeError, ValueError):
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

    def write_table(self, file: Path) -> None:
        """Write every value: name, number within its metric, time, value."""
        with file.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(["metric", "index", "time", "value"])
            for name, values in self.points.items():
                writer.writerows([name, index, f"{when:.3f}", value] for index, (when, value) in enumerate(values))

    def draw(self, file: Path, title: str) -> bool:
        """Draw a curve for each metric with at least two values; says whether there was one."""
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
        figure.savefig(file, dpi=110)
        return True
