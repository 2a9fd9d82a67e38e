"""Folders of this machine that a container may write to and that never change: overlay volumes of the local driver."""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Iterable, Mapping
from typing import Any

import docker

from byoc_cli.engine import faults

_INSIDE = "/writes"  # where the volume for what is written is in the container that makes its folders
_PARTS = ("upper", "work")


def create(api: docker.APIClient, folders: Mapping[str, str], image: str, labels: Mapping[str, str]) -> list[str]:
    """Create a volume for each name that shows a folder; what is written goes into one volume beside them.

    That one is the engine's own, and not a folder of the user's: its file system can be written to by an overlay, and
    what root left there goes with the volume.
    """
    writes = f"{next(iter(folders))}-writes"
    with faults.translated():
        api.create_volume(writes, labels=dict(labels))
        _make_folders(api, writes, image, labels, [str(number) for number in range(len(folders))])
        place = api.inspect_volume(writes)["Mountpoint"]
        for number, (name, folder) in enumerate(folders.items()):
            layers = f"lowerdir={_quoted(folder)},upperdir={place}/{number}/upper,workdir={place}/{number}/work"
            options = {"type": "overlay", "device": "overlay", "o": layers}
            api.create_volume(name, driver="local", driver_opts=options, labels=dict(labels))
    return [*folders, writes]


def _quoted(folder: str) -> str:
    """Quote what overlayfs takes for the end of a name."""
    return re.sub(r"([\\,:])", r"\\\1", folder)


def _make_folders(
    api: docker.APIClient, volume: str, image: str, labels: Mapping[str, str], numbers: Iterable[str]
) -> None:
    """Make the folders that an overlay wants, through a container that never starts."""
    mount = docker.types.Mount(_INSIDE, volume, type="volume", no_copy=True)
    made: dict[str, Any] = api.create_container(
        image, ["-"], labels=dict(labels), name=volume, host_config=api.create_host_config(mounts=[mount])
    )
    try:
        api.put_archive(made["Id"], _INSIDE, _tar([f"{number}/{part}" for number in numbers for part in ("", *_PARTS)]))
    finally:
        api.remove_container(made["Id"], v=True, force=True)  # v: also what the image declares with VOLUME


def _tar(folders: Iterable[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in folders:
            member = tarfile.TarInfo(folder)
            member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, time.time()
            tar.addfile(member)
    return buffer.getvalue()
