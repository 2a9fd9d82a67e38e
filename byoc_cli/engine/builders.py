"""Which builder this machine has: buildx, an old client's own BuildKit, or the classic API."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from byoc_cli.errors import MachineError, UsageError

Kind = Literal["buildx", "buildkit", "classic"]
VARIABLE = "BYOC_BUILDER"


@dataclass(frozen=True)
class Builder:
    """`client` is the path of the docker CLI ("" for the classic API), `version` the builder's own."""

    kind: Kind
    client: str = ""
    version: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Name it for people."""
        version = ".".join(str(number) for number in self.version)
        return {
            "buildx": f"BuildKit (docker buildx {version}, {self.client})",
            "buildkit": f"BuildKit (docker {version}, {self.client})",
            "classic": "the classic builder (no cache or secret mounts; install docker-buildx for them)",
        }[self.kind]


def find(environ: Mapping[str, str] | None = None) -> Builder:
    """Look at every docker client on PATH; the best builder wins, BYOC_BUILDER forces one.

    Raises:
        UsageError: BYOC_BUILDER is no builder.
        MachineError: the forced one is not there.

    """
    environ = environ if environ is not None else os.environ
    forced = environ.get(VARIABLE, "")
    if forced and forced not in get_args(Kind):
        raise UsageError(
            f"{VARIABLE}={forced} is no builder", hint=f"{VARIABLE} is one of: " + ", ".join(get_args(Kind))
        )
    for kind in (forced,) if forced else get_args(Kind):
        if builder := _find(kind, environ):
            return builder
    raise MachineError(
        f"there is no {forced} here, which {VARIABLE} asks for", hint=f"unset {VARIABLE}, or `byoc doctor`"
    )


def clients(environ: Mapping[str, str]) -> list[str]:
    """Every docker client on PATH, first one first, each once."""
    found: dict[str, str] = {}
    for folder in environ.get("PATH", "").split(os.pathsep):
        for name in ("docker", "docker.exe"):
            path = Path(folder) / name
            # In this order: is_file() raises in a folder that this user may not look into.
            if folder and os.access(path, os.X_OK) and path.is_file():
                found.setdefault(str(path.resolve()), str(path))
    return list(found.values())


def _find(kind: str, environ: Mapping[str, str]) -> Builder | None:
    if kind == "classic":
        return Builder("classic")
    for client in clients(environ):
        if kind == "buildx" and (version := _version([client, "buildx", "version"], environ)):
            return Builder("buildx", client, version)
        if kind == "buildkit":
            version = _version([client, "--version"], environ)
            # From 23 on the client's BuildKit is the buildx plugin.
            if version and (18, 9) <= version < (23,):
                return Builder("buildkit", client, version)
    return None


def _version(command: list[str], environ: Mapping[str, str]) -> tuple[int, ...]:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=dict(environ))
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", ran.stdout)
    return tuple(int(number) for number in found.groups()) if ran.returncode == 0 and found else ()
