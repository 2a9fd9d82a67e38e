"""PURE. From samples to figures, and from figures to a table and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(frozen=True)
class Reach:
    """What a figure has to reach: a bound for its ratio to the other side, for the difference, or for itself."""

    bound: float
    of: Literal["ratio", "difference", "value"] = "ratio"
    least: bool = False

    def met(self, ours: float, against: float | None) -> bool:
        """Whether the bound holds; a comparison with nothing does not."""
        if self.of == "value":
            reached = ours
        elif against is None:
            return False
        else:
            reached = ours - against if self.of == "difference" else ours / against
        return reached >= self.bound if self.least else reached <= self.bound

    def text(self, unit: str) -> str:
        """Say it: "at most 0.5 s more"."""
        side = "at least" if self.least else "at most"
        if self.of == "ratio":
            return f"{side} {self.bound:g} x"
        number = number_text(self.bound, unit)
        return f"{side} {number} more" if self.of == "difference" else f"{side} {number}"


@dataclass(frozen=True)
class Figure:
    """One line of the table; `ours` and `against` are the samples of all rounds."""

    name: str
    what: str
    unit: str
    reach: Reach
    ours: Sequence[float]
    against: Sequence[float] = ()
    against_what: str = ""

    @property
    def our_median(self) -> float:
        """The figure itself."""
        return median(self.ours)

    @property
    def against_median(self) -> float | None:
        """The other side's figure; None where there is none."""
        return median(self.against) if self.against else None

    @property
    def ratio(self) -> float | None:
        """Ours in units of the other's."""
        against = self.against_median
        return self.our_median / against if against else None

    @property
    def ok(self) -> bool:
        """Whether what has to be reached is reached."""
        return self.reach.met(self.our_median, self.against_median)

    def as_json(self) -> dict[str, str | float | bool | None]:
        """Return the object of `--json`."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": _rounded(self.our_median),
            "against": _rounded(self.against_median),
            "ratio": _rounded(self.ratio),
            "reach": self.reach.text(self.unit),
            "ok": self.ok,
        }


HEADER = ("figure", "what", "ours", "against", "ratio", "reach", "reached")


def cells(figure: Figure) -> tuple[str, ...]:
    """One row of the table, in the order of HEADER."""
    against = f"{_spread(figure.against, figure.unit)} {figure.against_what}" if figure.against else "-"
    return (
        figure.name,
        figure.what,
        _spread(figure.ours, figure.unit),
        against,
        f"{figure.ratio:.2f}" if figure.ratio is not None else "-",
        figure.reach.text(figure.unit),
        "yes" if figure.ok else "**no**",
    )


def table(figures: Sequence[Figure]) -> str:
    """Make a Markdown table whose columns are aligned, so that it is readable on a terminal too."""
    rows = [HEADER, *(cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def number_text(number: float, unit: str) -> str:
    """Show a number with as many digits as are worth reading, and its unit."""
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    return f"{number:.{digits}f} {unit}".rstrip()


def _spread(samples: Sequence[float], unit: str) -> str:
    """Median, and the range where there is one: on a busy machine it says how far to trust the median."""
    middle = number_text(median(samples), unit)
    low, high = number_text(min(samples), ""), number_text(max(samples), "")
    return middle if low == high else f"{middle} ({low}-{high})"


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
