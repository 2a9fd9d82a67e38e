"""What adopting a folder comes to: a byoc.toml, value by value with where each was found, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from byoc_cli.check.model import Finding, Result

Section = Literal["", "build.args", "train", "train.hyperparameters", "train.channels", "train.metrics", "predict"]


@dataclass(frozen=True)
class Found:
    """A value, and where it was found: `file:line`, relative to the folder that was asked about, or a few words."""

    value: str
    where: str = ""


@dataclass(frozen=True)
class Aside:
    """A line of byoc.toml that stands there as a comment: what only the user can fill in, or may want to."""

    section: Section
    line: str
    why: str


@dataclass(frozen=True)
class Missing:
    """What the contract still misses: a finding of a rule of `byoc check`; without one it is about the build.

    `seen` is the evidence, `fix` the lines to add, `where` is `file:line`; `blocks` means that there is no image as
    long as it is so.
    """

    seen: str
    fix: str
    where: str = ""
    finding: Finding | None = None
    blocks: bool = False

    @property
    def result(self) -> Result:
        """How much it weighs."""
        return self.finding.result if self.finding else "fail" if self.blocks else "warn"

    @property
    def id(self) -> str:
        """The rule's id; "" without a rule."""
        return self.finding.rule.id if self.finding else ""


@dataclass(frozen=True)
class Proposal:
    """A byoc.toml to be. `root` is the folder that it goes to: the build's context.

    `dockerfile` is relative to root; None where there is none yet. `notes` are for the user to know, `missing` is what
    the source itself tells to be missing; the Dockerfile and the programs are judged later.
    """

    source: str
    root: Path
    image: Found
    dockerfile: Found | None = None
    platform: Found | None = None
    args: Mapping[str, Found] = field(default_factory=dict)
    hyperparameters: Mapping[str, Found] = field(default_factory=dict)
    channels: Mapping[str, Found] = field(default_factory=dict)
    metrics: Mapping[str, Found] = field(default_factory=dict)
    train_environment: Mapping[str, Found] = field(default_factory=dict)
    serve_environment: Mapping[str, Found] = field(default_factory=dict)
    sample: Found | None = None
    content_type: Found | None = None
    asides: Sequence[Aside] = ()
    notes: Sequence[str] = ()
    missing: Sequence[Missing] = ()
