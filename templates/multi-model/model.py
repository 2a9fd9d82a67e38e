"""The model: boosted stumps in plain Python. What `train` makes and `serve` asks stands here once."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

MEASURES = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "sex")
SEXES = {"female": 0.0, "male": 1.0}
FILE = "model.stumps"
_PIECE = 1 << 20  # bytes


@dataclass
class Model:
    """The mean of what was learnt, and stumps that correct it.

    A stump is four numbers in `stumps`: which measure it looks at, where it divides, and what it adds up to there (a
    value equal to it belongs to this side) and above.
    """

    species: str
    mean: float
    stumps: array[float] = field(default_factory=lambda: array("d"))

    @property
    def rounds(self) -> int:
        """How many stumps it has."""
        return len(self.stumps) // 4

    def predict(self, measures: Sequence[float]) -> float:
        """Give the mass of a penguin in g."""
        stumps, mass = self.stumps, self.mean
        for at in range(0, len(stumps), 4):
            low = measures[int(stumps[at])] <= stumps[at + 1]
            mass += stumps[at + 2] if low else stumps[at + 3]
        return mass

    def save(self, path: Path) -> None:
        """Write a line of JSON, then the numbers: all of it or nothing, as checkpoints are copied at any moment."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(json.dumps({"species": self.species, "mean": self.mean}).encode() + b"\n")
            self.stumps.tofile(file)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read what `save` wrote, piece by piece: one large call would hold up all other threads of Python.

        Raises:
            OSError, ValueError, KeyError, TypeError: it cannot be read, or is no such file.

        """
        with path.open("rb") as file:
            head = json.loads(file.readline())
            model = cls(str(head["species"]), float(head["mean"]))
            while piece := file.read(_PIECE):
                model.stumps.frombytes(piece)
        if len(model.stumps) % 4:
            raise ValueError(f"{path} breaks off")
        return model


def parse(cells: Sequence[object]) -> list[float]:
    """Read one penguin's measures: three numbers, or their texts, and its sex.

    Raises:
        ValueError: they are something else; says why.

    """
    if len(cells) != len(MEASURES):
        raise ValueError(f"{len(MEASURES)} values are wanted ({', '.join(MEASURES)}), here are {len(cells)}")
    *lengths, sex = cells
    values = [float(cell) if isinstance(cell, str | int | float) else math.nan for cell in lengths]
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"{lengths} are not {len(lengths)} numbers")
    if sex not in SEXES:
        raise ValueError(f"{MEASURES[-1]} is {sex!r}: it must be {' or '.join(SEXES)}")
    return [*values, SEXES[str(sex)]]
