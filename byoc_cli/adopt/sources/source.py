"""What a source is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from byoc_cli.adopt.proposal import Proposal


@dataclass(frozen=True)
class Source:
    """A kind of project.

    `name` is a word of --from, `about` what people call it. `recognise` gives the file that shows that a folder is
    one, None where it is not; `read` makes the proposal, given the Dockerfile that the user chose, if any, and raises a
    ByocError where a file cannot be read.
    """

    name: str
    about: str
    recognise: Callable[[Path], Path | None]
    read: Callable[[Path, Path | None], Proposal]
