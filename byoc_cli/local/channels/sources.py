"""From a channel's settings to the channel: its files on this machine, those in S3 when they are fetched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from byoc_cli.contract.channels import S3
from byoc_cli.contract.training import ChannelConfig
from byoc_cli.errors import UsageError
from byoc_cli.local.channels import Channel, manifest
from byoc_cli.project import ChannelSettings


class Fetch(Protocol):
    """Downloads data from S3; what does so is of another layer."""

    def __call__(self, uri: str, names: tuple[str, ...] | None, *, whole_folder: bool) -> tuple[Path, str]:
        """Give (folder, the URI that its files are relative to); `whole_folder` refuses another prefix (T-59)."""


def channel(name: str, settings: ChannelSettings, source: Path | None, listed: Path | None) -> Channel:
    """Make a channel of settings; `source` is its PATH on this machine, None for one in S3, which is to be `fetched`.

    Raises:
        UsageError: the manifest is wrong.

    """
    made = Channel(
        name=name,
        source=source or Path(),
        config=ChannelConfig(
            input_mode=settings.mode,
            distribution=settings.distribution,
            record_wrapper=settings.record_wrapper,
            content_type=settings.content_type,
        ),
        compression=settings.compression,
        shuffle_seed=settings.shuffle_seed,
        manifest=listed,
        uri="" if source else settings.source,
    )
    if listed:
        _base(made)
    return made


def fetched(channel: Channel, fetch: Fetch) -> Channel:
    """Give the channel with its data on this machine; one that is not in S3 has it already."""
    if not channel.uri:
        return channel
    uri, names = _base(channel) if channel.manifest else (channel.uri, None)
    folder, root = fetch(uri, names, whole_folder=channel.config.input_mode == "FastFile")
    return replace(channel, source=folder, root=root)


def _base(channel: Channel) -> tuple[str, tuple[str, ...]]:
    """Read the manifest: (the S3 folder its names are relative to, they)."""
    assert channel.manifest
    listed = manifest.read(channel.manifest)
    folder = f"{channel.uri.rstrip('/')}/"
    if channel.uri and listed.prefix:
        if not listed.prefix.startswith(S3):
            raise UsageError(
                f"the manifest {listed.file} does not go with {channel.uri}\nits prefix is {listed.prefix}",
                hint=f'"prefix": "{folder}"',
            )
        if not listed.prefix.startswith(folder):
            raise UsageError(
                f"the manifest {listed.file} does not go with {channel.uri}\nits objects are in {listed.prefix}",
                hint=f"--channel {channel.name}={listed.prefix}",
            )
    return listed.prefix or folder, listed.names
