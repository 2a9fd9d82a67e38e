"""The objects of a channel: what would be S3 objects in the cloud, in S3's order (T-22, T-56, T-57)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from byoc_cli.contract import channels
from byoc_cli.errors import UsageError
from byoc_cli.local.channels import Channel, manifest


@dataclass(frozen=True)
class Object:
    """One object: `key` is relative to the channel, with slashes; `path` is the file."""

    key: str
    path: Path


def objects(channel: Channel) -> list[Object]:
    """List all of a channel's objects, hidden ones too: by the bytes of their keys as S3 does, or as its manifest does.

    What is no file (a broken link, a socket) is no object. Links are followed, to folders too.

    Raises:
        UsageError: the manifest is wrong, or an object that it lists is not there.

    """
    if channel.manifest:
        return _listed(channel, manifest.read(channel.manifest))
    if channel.source.is_file():
        return [Object(channel.source.name, channel.source)]
    found = (Object(key, Path(path)) for key, path in _below(str(channel.source), "", ()))
    return sorted(found, key=lambda one: os.fsencode(one.key))


def deal(objects: Sequence[Object], hosts: int) -> list[list[Object]]:
    """Give each of `hosts` hosts its share, in turn; with fewer objects than hosts some get nothing (T-57).

    How the platform deals them is not published; that every host gets about as many is.
    """
    return [list(objects[host::hosts]) for host in range(hosts)]


def manifest_text(channel: Channel, objects: Sequence[Object]) -> str:
    """Make the text of `NAME-manifest` beside a File channel, of all objects, not of one host's share (T-22)."""
    return channels.manifest_lines(channel.name, channel.uri, channel.root, (one.key for one in objects))


def _listed(channel: Channel, listed: manifest.Manifest) -> list[Object]:
    folder = listed.folder(channel.source)
    found = [Object(name, folder / name) for name in dict.fromkeys(listed.names)]
    missing = [one for one in found if not one.path.is_file()]
    if missing:
        more = f", and {len(missing) - 1:,} more" if missing[1:] else ""
        raise UsageError(
            f"channel '{channel.name}': '{missing[0].key}' is not there{more}\n"
            f"{listed.file} lists it; looked for {missing[0].path}",
            hint="correct the manifest, or the PATH that its names are relative to",
        )
    return found


def _below(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, str]]:
    """Walk a tree, giving (key, path); strings instead of Paths: a channel may hold a million files."""
    status = os.stat(folder)  # noqa: PTH116
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link to a folder that it is in
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _below(entry.path, f"{prefix}{entry.name}/", (*above, here))
            elif entry.is_file():
                yield f"{prefix}{entry.name}", entry.path
