"""A mutant: the good image and one small change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from byoc_cli.check.model import Result
from tests.integration.check.images import GOOD, File, Recipe

TRAIN = (GOOD / "train").read_bytes()
SERVE = (GOOD / "serve").read_bytes()
COPY_TRAIN = ["COPY train /usr/local/bin/train"]


@dataclass(frozen=True)
class Mutant:
    """What was changed, in a few words, and who has to notice."""

    name: str
    change: str
    caught: Mapping[str, Result]
    lines: Sequence[str]
    files: Mapping[str, File] = field(default_factory=dict)
    timeout: float = 60.0

    @property
    def recipe(self) -> Recipe:
        """How it is built."""
        return Recipe(self.name, self.lines, self.files)


def edited(source: bytes, old: str, new: str) -> File:
    """The good file with one thing in it changed."""
    assert old.encode() in source, f"{old!r} is not in the good file any more"
    return File(source.replace(old.encode(), new.encode()))
