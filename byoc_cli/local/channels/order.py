"""The order of a channel's objects."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

_Object = TypeVar("_Object")


def shuffled(objects: Sequence[_Object], seed: int, epoch: int) -> list[_Object]:
    """Shuffle as T-67 has it: anew for each epoch, and the same for the same seed and epoch, on every machine."""
    # Not shuffle(): of all methods only random() is promised to give the same in every Python.
    key = random.Random(f"{seed} {epoch}")  # noqa: S311 - nothing is secret
    return sorted(objects, key=lambda _: key.random())
