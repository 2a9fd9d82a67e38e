"""How the channels get into each host's container (T-57 to T-61)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from byoc_cli.contract import paths
from byoc_cli.engine.types import Mount
from byoc_cli.local.channels import Channel
from byoc_cli.local.training.job import TrainingJob


@dataclass(frozen=True)
class Source:
    """A channel as one host is shown it: a folder, or one file.

    `writable` says whether the container may write there, which it may in File mode (T-58) and may not in FastFile
    mode (T-59); what `path` holds never changes.
    """

    channel: Channel
    path: Path
    writable: bool

    @property
    def read_only_mount(self) -> Mount:
        """The mount where nothing may be written."""
        target = paths.channel(self.channel.name)
        return Mount(target if self.path.is_dir() else f"{target}/{self.path.name}", str(self.path), read_only=True)

    def overlay_mount(self, volume: str) -> Mount:
        """The mount of a volume that shows `path`."""
        return Mount(paths.channel(self.channel.name), volume)


@dataclass(frozen=True)
class HostInputs:
    """What one host finds in /opt/ml/input/data; `manifests` maps a file's name to its text (T-22)."""

    sources: Sequence[Source]
    manifests: Mapping[str, str]


def host_inputs(job: TrainingJob) -> dict[str, HostInputs]:
    """Deal the channels to the hosts."""
    sources = [Source(channel, channel.source, channel.config.input_mode == "File") for channel in job.channels]
    return {host: HostInputs(sources, {}) for host in job.hosts}
