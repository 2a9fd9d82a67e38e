"""Channels: what a training job is given as data, and how it gets there (T-55 to T-68)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from byoc_cli.contract import channels, training

__all__ = ["Channel"]


@dataclass(frozen=True)
class Channel:
    """One channel: `source` is a folder or a file of this machine (T-58).

    `uri` is the s3:// address that `source` was downloaded from, "" for local data, and `root` the one that its files'
    names are relative to, with a slash at its end; `manifest` a file that lists the objects below `source` (T-56);
    `shuffle_seed` None leaves the order alone (T-67).
    """

    name: str
    source: Path
    config: training.ChannelConfig = field(default_factory=training.ChannelConfig)
    compression: str = "None"
    shuffle_seed: int | None = None
    manifest: Path | None = None
    uri: str = ""
    root: str = ""

    def problems(self) -> list[str]:
        """What CreateTrainingJob would refuse of its options (T-59, T-65 to T-67)."""
        return channels.problems(
            self.name,
            self.config,
            compression=self.compression,
            shuffled=self.shuffle_seed is not None,
            manifest=self.manifest is not None,
        )
