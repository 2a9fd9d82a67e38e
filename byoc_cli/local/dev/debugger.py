"""A debugger for a program in a container, of which neither the image nor the program knows.

byoc's own debugpy is put beside it; a `sitecustomize` on PYTHONPATH starts it in the first Python program and waits.
Where the image has another Python than byoc, debugpy leaves its compiled parts and does without.
"""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from byoc_cli.engine.types import DEFAULT_PATH
from byoc_cli.errors import ByocError
from byoc_cli.local.dev.inside import Inside

FOLDER = "/opt/byoc-debug"
PORT_VARIABLE = "BYOC_DEBUG_PORT"
OFF = {"BYOC_DEBUGGED": "1"}
"""What a program has in its environment that is debugged, or is not to be."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Debugger:
    """Waits on `port`, of the container and of this machine."""

    port: int

    def check(self, inside: Inside, environment: Mapping[str, str]) -> None:
        """See that the image has a Python.

        Raises:
            ByocError: it has none on PATH.

        """
        folders = [folder for folder in environment.get("PATH", DEFAULT_PATH).split(":") if folder]
        if not any(inside.stat(f"{folder}/{name}") for folder in folders for name in ("python3", "python")):
            raise ByocError(
                "there is no Python in the image\n--debug-port waits in a Python program, and none is on its PATH",
                hint="leave --debug-port out",
            )

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that start it, beside those of the image and the user."""
        path = given.get("PYTHONPATH", "")
        return {
            "PYTHONPATH": f"{FOLDER}:{path}" if path else FOLDER,
            PORT_VARIABLE: str(self.port),
            # What it warns of for Python's own frozen modules is none of the user's business.
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }

    def archive(self) -> Iterator[bytes]:
        """Give a tar of it, names relative to the container's root."""
        for at in range(0, len(self._tar), _CHUNK):
            yield self._tar[at : at + _CHUNK]

    @cached_property
    def _tar(self) -> bytes:
        found = importlib.util.find_spec("debugpy")
        if not found or not found.submodule_search_locations:
            raise ByocError("debugpy is not installed beside byoc", hint="pip install debugpy")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            own = Path(__file__).with_name("sitecustomize.py")
            tar.add(own, f"{FOLDER[1:]}/{own.name}", filter=_of_root)
            for place in found.submodule_search_locations:
                tar.add(place, f"{FOLDER[1:]}/debugpy/debugpy", filter=_of_root)
        return buffer.getvalue()

    def launch(self, root: Path, mappings: Mapping[str, str]) -> str:
        """Return what VS Code's launch.json needs to attach, as JSON."""
        paths = [
            {"localRoot": str(root if source == "." else root / source), "remoteRoot": target}
            for source, target in mappings.items()
        ]
        configuration = {
            "name": "byoc dev",
            "type": "debugpy",
            "request": "attach",
            "connect": {"host": "127.0.0.1", "port": self.port},
            "pathMappings": paths,
            "justMyCode": False,
            "restart": True,
        }
        return json.dumps({"version": "0.2.0", "configurations": [configuration]}, indent=2)


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if member.name.endswith((".pyc", "/__pycache__")):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member
