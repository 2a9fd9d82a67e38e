"""How a recipe tells what it does; the terminal's side is in console."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Advance(Protocol):
    """Counts up."""

    def __call__(self, amount: int) -> None:
        """`amount` more is done."""


class Progress(Protocol):
    """What a recipe says while it runs."""

    def log(self, text: str) -> None:
        """Say a thing that is worth a line."""

    def warn(self, text: str, hint: str = "") -> None:
        """Say a thing that may go wrong, and what to do about it."""

    def output(self, data: bytes, prefix: str = "") -> None:
        """Hand on what a container printed: whole lines as a rule, untouched but for a prefix before each (T-69)."""

    def bytes_done(self, label: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Show bytes as they are done, where it lasts."""
