"""The channels of a training job as tables of numbers: CSV without a heading, the label first.

A channel in File or FastFile mode is a folder. In Pipe mode it is a row of FIFOs, NAME_0, NAME_1 and so on: each brings
the whole channel once, can be read once from its beginning to its end, and is followed by the next (T-61).
"""

from __future__ import annotations

import array
import csv
import itertools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LOOK_SECONDS = 0.1


class JobError(Exception):
    """What the user can mend: it is told in one sentence, without a traceback."""


@dataclass(frozen=True)
class Table:
    """What a channel brought: an example a row."""

    labels: NDArray[np.float64]  # [n]
    features: NDArray[np.float64]  # [n, k]; NaN is a value that is missing


class Channel:
    """One channel, which can be read again and again."""

    def __init__(self, data: Path, name: str, settings: Mapping[str, str]) -> None:
        """`data` is /opt/ml/input/data, `settings` what inputdataconfig.json says of the channel (T-19).

        Raises:
            JobError: it is of a form that is not read here.

        """
        self.name = name
        self._data = data
        self.piped = settings.get("TrainingInputMode") == "Pipe"  # FastFile is told as File (T-20): it looks the same
        self._epochs = itertools.count()
        kind = settings.get("ContentType", "text/csv").partition(";")[0].strip().lower()
        if kind != "text/csv":
            raise JobError(f"channel {name} has the ContentType {kind}: it must be text/csv")
        if settings.get("RecordWrapperType", "None") != "None":
            raise JobError(f"channel {name} is wrapped in {settings['RecordWrapperType']}: CSV needs no wrapper")

    def read(self) -> Table:
        """Read all of it: of a pipe the next epoch.

        Raises:
            JobError: there is nothing to read, or it is not CSV; says where.

        """
        import numpy as np  # late: `train` handles signals before anything slow is imported

        values = array.array("d")  # 8 bytes a number, however long the stream is
        columns = rows = 0
        for source in self._sources():
            with source.open(encoding="utf-8-sig", newline="") as text:
                lines = csv.reader(text)
                try:
                    for row in filter(None, lines):
                        values.extend(float(cell) if cell.strip() else math.nan for cell in row)
                        columns = columns or len(row)
                        rows += 1
                        if len(row) != columns or columns < 2:
                            raise JobError(
                                f"{source.name}, line {lines.line_num}: {len(row)} values; a label and features are"
                                f" wanted, {columns} values as in the first line"
                            )
                except (ValueError, csv.Error) as error:
                    raise JobError(f"{source.name}, line {lines.line_num}: {error}") from error
        if not rows:
            raise JobError(f"channel {self.name} is empty: no line of CSV came from {self._data / self.name}")
        table = np.frombuffer(values, np.float64).reshape(rows, columns)
        if not np.isfinite(table[:, 0]).all():
            raise JobError(f"channel {self.name}: the first value of each line is its label, and one is missing")
        return Table(table[:, 0].copy(), table[:, 1:].copy())

    def _sources(self) -> Iterator[Path]:
        if self.piped:
            path = self._data / f"{self.name}_{next(self._epochs)}"
            while not path.exists():  # the platform makes it when the one before has been read
                time.sleep(_LOOK_SECONDS)
            yield path
            return
        folder = self._data / self.name
        if not folder.is_dir():
            raise JobError(f"there is no channel {self.name}: {folder} is not there")
        yield from sorted(folder.rglob("*.csv"))
