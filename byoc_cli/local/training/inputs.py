"""How the channels get into each host's container (T-22, T-57 to T-67)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from byoc_cli.contract import paths
from byoc_cli.contract.channels import manifest_lines
from byoc_cli.contract.platform_files import CHECKPOINTS_CHANNEL
from byoc_cli.engine.types import Engine, Mount
from byoc_cli.local import claims
from byoc_cli.local.channels import Channel
from byoc_cli.local.channels.fifo import check_fifo_folder, check_fifo_support
from byoc_cli.local.channels.objects import Object, deal, manifest_text, objects
from byoc_cli.local.channels.order import shuffled
from byoc_cli.local.channels.pipe import PipeFeeder
from byoc_cli.local.channels.staging import stage
from byoc_cli.local.progress import Progress
from byoc_cli.local.training.job import TrainingJob, request

_RESERVE_BYTES = 1 << 16


@dataclass(frozen=True)
class Source:
    """A File or FastFile channel as one host is shown it: a folder, or one file.

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
    """What one host finds in /opt/ml/input/data.

    `manifests` maps a file's name to its text (T-22); `pipes` is the folder that is /opt/ml/input/data where there are
    Pipe channels, whose FIFOs `feeders` makes anew for each start.
    """

    sources: Sequence[Source] = ()
    manifests: Mapping[str, str] = field(default_factory=dict)
    pipes: Path | None = None
    feeders: Callable[[], Sequence[PipeFeeder]] = tuple

    @property
    def mounted(self) -> list[Path]:
        """What of this machine the host's container shows."""
        return [source.path for source in self.sources] + ([self.pipes] if self.pipes else [])


@contextmanager
def dealt_inputs(
    engine: Engine, job: TrainingJob, staging: Path, progress: Progress
) -> Iterator[dict[str, HostInputs]]:
    """Deal the channels to the hosts; what that takes lies in `staging`, and is gone afterwards.

    Raises:
        UsageError: a manifest is wrong.
        MachineError: Pipe mode, and an engine that cannot carry a FIFO (T-64).

    """
    try:
        with claims.claim(staging):
            # What is freed when the job is over: so its last word can be written on a full disk, too.
            (staging / "reserve").write_bytes(bytes(_RESERVE_BYTES))
            yield _Dealer(engine, job, staging, progress).deal()
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if staging.exists():
            progress.warn(f"{staging} cannot be removed", f"sudo rm -r {staging}")


class _Dealer:
    """Shows each host its channels, without copying what can be linked or mounted."""

    def __init__(self, engine: Engine, job: TrainingJob, staging: Path, progress: Progress) -> None:
        self._engine = engine
        self._job = job
        self._staging = staging
        self._progress = progress

    def deal(self) -> dict[str, HostInputs]:
        piped = [channel for channel in self._job.channels if channel.config.input_mode == "Pipe"]
        if piped:
            check_fifo_support(self._engine.info(), sys.platform)
        manifests = self._checkpoints_manifest()
        sources: dict[str, list[Source]] = {host: [] for host in self._job.hosts}
        for channel in self._job.channels:
            if channel in piped:
                continue
            found = objects(channel)
            if channel.config.input_mode == "File" and self._job.platform_files:
                manifests[paths.manifest(channel.name)] = manifest_text(channel, found)
            for host, source in self._sources(channel, found).items():
                sources[host].append(source)
        if not piped:
            return {host: HostInputs(sources[host], manifests) for host in self._job.hosts}
        return {
            host: self._with_pipes(host, index, piped, HostInputs(sources[host], manifests))
            for index, host in enumerate(self._job.hosts)
        }

    def _checkpoints_manifest(self) -> dict[str, str]:
        """Checkpoints are a channel to the platform, whose manifest has the prefix alone (T-22)."""
        if not (self._job.keeps_checkpoints and self._job.platform_files):
            return {}
        uri = request(self._job).checkpoints_uri
        return {paths.manifest(CHECKPOINTS_CHANNEL): manifest_lines(CHECKPOINTS_CHANNEL, uri, "", ())}

    def _sources(self, channel: Channel, found: Sequence[Object]) -> dict[str, Source]:
        """Show a channel to every host: as it is, or what a shard or a manifest leaves of it."""
        writable = channel.config.input_mode == "File"
        hosts = self._job.hosts
        if channel.config.distribution == "ShardedByS3Key" and len(hosts) > 1:
            shards = dict(zip(hosts, deal(found, len(hosts)), strict=True))
            return {host: Source(channel, self._stage(channel, shards[host], host), writable) for host in hosts}
        if channel.manifest or (writable and _can_be_linked(channel.source, self._staging.parent)):
            folder = self._stage(channel, found, "all")
            return {host: Source(channel, folder, writable) for host in hosts}
        return {host: Source(channel, channel.source, writable) for host in hosts}

    def _stage(self, channel: Channel, found: Sequence[Object], whose: str) -> Path:
        return stage(found, self._staging / whose / channel.name, self._progress.warn)

    def _with_pipes(self, host: str, index: int, channels: Sequence[Channel], others: HostInputs) -> HostInputs:
        """Make the folder that the host sees as /opt/ml/input/data, for only a folder of this machine can carry FIFOs.

        It is mounted read-only, so that nothing of root's is left in it: what else is to be there is made here.
        """
        folder = self._staging / "pipes" / host
        folder.mkdir(parents=True)
        check_fifo_folder(folder)
        for source in others.sources:
            (folder / source.channel.name).mkdir()
            if source.path.is_file():
                (folder / source.channel.name / source.path.name).touch()
        for name, text in others.manifests.items():
            (folder / name).write_text(text, encoding="utf-8", errors="surrogateescape")
        for path in (folder, *folder.iterdir()):  # whatever the umask, every user can read what is there (T-23)
            path.chmod(0o755 if path.is_dir() else 0o644)
        given = {channel.name: objects(channel) for channel in channels}

        def feeders() -> list[PipeFeeder]:
            return [
                PipeFeeder(
                    folder,
                    channel.name,
                    self._order(channel, given[channel.name], index),
                    record_wrapper=channel.config.record_wrapper,
                    compression=channel.compression,
                )
                for channel in channels
            ]

        return HostInputs(others.sources, {}, folder, feeders)

    def _order(self, channel: Channel, found: Sequence[Object], index: int) -> Callable[[int], Sequence[Path]]:
        """The files of an epoch for one host; with a seed the order, and who gets what, is another each time (T-67)."""
        hosts = len(self._job.hosts) if channel.config.distribution == "ShardedByS3Key" else 1

        def of_epoch(epoch: int) -> list[Path]:
            order = found if channel.shuffle_seed is None else shuffled(found, channel.shuffle_seed, epoch)
            return [one.path for one in deal(order, hosts)[index % hosts]]

        return of_epoch


def _can_be_linked(source: Path, folder: Path) -> bool:
    """Whether a channel is one file that can be linked to: only a folder can be shown so that it may be written to."""
    return source.is_file() and source.stat().st_dev == folder.stat().st_dev and os.access(source, os.W_OK)
