"""Unit tests see no Docker and no network."""

from tests.guard import guard, nothing_outside

__all__ = ["guard", "nothing_outside"]
