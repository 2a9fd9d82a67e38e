"""What a build is asked to do, and how it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from byoc_cli.engine.types import Credentials
from byoc_cli.errors import ByocError


@dataclass(frozen=True)
class BuildRequest:
    """All that a build is made of.

    `secrets` maps an id to a file (BuildKit's --secret id=…,src=…); `credentials` maps a registry's host to a login
    that is good for this build only; the full output goes to `log`.
    """

    folder: Path
    dockerfile: Path
    tag: str
    platform: str
    log: Path
    args: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    target: str = ""
    no_cache: bool = False
    pull: bool = False
    credentials: Mapping[str, Credentials] = field(default_factory=dict)


class BuildFailed(ByocError):
    """A step failed; its last lines and the log's path are in the message."""
