"""The model: softmax regression in plain Python. What `train` makes and `serve` asks stands here once."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MEASURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")  # in cm


@dataclass
class Model:
    """One row of weights a species: of a constant 1, then of each measure, less its mean, over its deviation."""

    species: list[str]
    means: list[float]
    deviations: list[float]
    weights: list[list[float]]

    def inputs(self, measures: Sequence[float]) -> list[float]:
        """Bring measures in cm to one scale; in front stands the constant."""
        scaled = zip(measures, self.means, self.deviations, strict=True)
        return [1.0, *((value - mean) / deviation for value, mean, deviation in scaled)]

    def probabilities(self, inputs: Sequence[float]) -> list[float]:
        """Give the probability of each species, in the order of `species`."""
        scores = [sum(weight * value for weight, value in zip(row, inputs, strict=True)) for row in self.weights]
        highest = max(scores)  # subtracted, so that exp cannot overflow
        powers = [math.exp(score - highest) for score in scores]
        return [power / sum(powers) for power in powers]

    def save(self, path: Path) -> None:
        """Write it as JSON. JSON cannot run code when it is read, as a pickle can."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def parse(cells: Sequence[object]) -> list[float]:
    """Read one flower's measures, numbers or their texts.

    Raises:
        ValueError: these are not four numbers; says why.

    """
    if len(cells) != len(MEASURES):
        raise ValueError(f"{len(MEASURES)} numbers are wanted ({', '.join(MEASURES)}), here are {len(cells)}")
    try:
        values = [float(str(cell)) for cell in cells]
    except ValueError:
        values = [math.nan]
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"{str(list(cells))[:200]} are not {len(MEASURES)} numbers")
    return values
