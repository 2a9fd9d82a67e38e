"""The pictures of the channels, and which of them a process takes at each step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from digits.job import JobError

SIDE = 8  # a picture has 8 x 8 grey values, 0 (paper) to 255 (ink)
PIXELS = SIDE * SIDE
CLASSES = 10


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures."""

    images: torch.Tensor  # [n, 8, 8] float32, from 0 to 255
    labels: torch.Tensor  # [n] int64, from 0 to 9

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and labels of `rows`, on the device."""
        return self.images[rows].to(device), self.labels[rows].to(device)


def read_pictures(paths: list[Path]) -> Pictures:
    """Read CSV files, gzipped or not, without a header: the label, then 64 grey values, in each line."""
    tables = [np.zeros((0, 1 + PIXELS), np.float32)]
    for path in paths:
        try:
            table = np.loadtxt(path, np.float32, delimiter=",", ndmin=2)
        except (OSError, ValueError) as error:
            raise JobError(f"{path} cannot be read as numbers with commas: {error}") from error
        if not table.size:
            continue  # it has no lines
        if table.shape[1] != 1 + PIXELS:
            raise JobError(f"{path} has {table.shape[1]} columns: a label and {PIXELS} grey values are expected")
        tables.append(table)
    rows = torch.from_numpy(np.concatenate(tables))
    if not torch.isfinite(rows).all():
        raise JobError(f"{paths[0].parent}: a value is not a finite number")
    labels = rows[:, 0].long()
    if not (rows[:, 0] == labels).all() or not ((labels >= 0) & (labels < CLASSES)).all():
        raise JobError(f"{paths[0].parent}: a label in the first column is not a whole number from 0 to {CLASSES - 1}")
    return Pictures(rows[:, 1:].reshape(-1, SIDE, SIDE), labels)


@dataclass(frozen=True)
class Share:
    """The part of all training pictures that this process has.

    All pictures are numbered, over all hosts. The order of an epoch depends on the seed alone, and a batch is a piece
    of it, of which each process takes what is its own: so any number of processes learns the same, and a run that is
    resumed learns what it would have learnt without a break.
    """

    total: int  # how many there are on all hosts together
    first: int  # the number of the first one that is here
    here: int  # how many are here
    process: int  # which of the processes that have the same pictures this is, from 0
    processes: int  # how many these are

    def order(self, epoch: int, seed: int) -> torch.Tensor:
        """Return the numbers of all pictures in the order of an epoch, [total]."""
        return torch.randperm(self.total, generator=torch.Generator().manual_seed(seed + (epoch << 32)))

    def rows(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the rows, from 0, of the pictures in a batch that this process takes; there may be none."""
        here = batch[(batch >= self.first) & (batch < self.first + self.here)] - self.first
        return here[self.process :: self.processes]
