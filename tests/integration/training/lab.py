"""Jobs of the probe image that run side by side, and what they said."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from tests.integration.world import Byoc, Job, Live, make_project, nothing_stays, wait_for


@dataclass(frozen=True)
class Probed(Job):
    """A job of the probe that ran."""

    def said(self, word: str, host: str = "") -> list[Any]:
        """Give all that it said after a word, or one of several hosts did."""
        begin = f"{host} | {word} " if host else f"{word} "
        return [
            json.loads(line.removeprefix(begin)) for line in self.log.decode().splitlines() if line.startswith(begin)
        ]

    def report(self, host: str = "") -> dict[str, Any]:
        """Give what it saw."""
        (seen,) = self.said("report", host)
        return dict(seen)

    def text(self, name: str, host: str = "") -> str:
        """Give the text of a file of /opt/ml/input."""
        return str(self.report(host)["texts"][name])

    def config(self, name: str, host: str = "") -> Any:
        """Read a file of /opt/ml/input/config."""
        return json.loads(self.text(f"config/{name}", host))

    @property
    def name(self) -> str:
        """The job's name."""
        return self.folder.name


@dataclass(frozen=True)
class Lab:
    """A project whose image is the probe."""

    byoc: Byoc
    project: Path
    client: docker.DockerClient
    root: Path

    def start(self, name: str, *words: str | Path, image: str = "") -> tuple[str, Live]:
        """Start a job: (its name, which is nobody else's in this engine; the process)."""
        whole = f"{name}-{secrets.token_hex(3)}"
        more = (image,) if image else ()
        return whole, self.byoc.start("local-train", *more, "--name", whole, *map(str, words), cwd=self.project)

    def end(self, started: tuple[str, Live]) -> Probed:
        """Wait for a job's end."""
        name, live = started
        return Probed(live.end(), self.project / ".byoc" / "runs" / name)

    def run(self, jobs: dict[str, Sequence[str | Path]], image: str = "") -> dict[str, Probed]:
        """Run jobs side by side to their ends; nothing of them stays in the engine."""
        with nothing_stays(self.client, self.root):
            started = {name: self.start(name, *words, image=image) for name, words in jobs.items()}
            return {name: self.end(one) for name, one in started.items()}

    def run_one(self, name: str, *words: str | Path, image: str = "") -> Probed:
        """Run one job to its end."""
        return self.run({name: words}, image)[name]


def new_lab(byoc: Byoc, folder: Path, image: str, client: docker.DockerClient, root: Path) -> Lab:
    """Make a project of an image."""
    return Lab(byoc, make_project(folder, image), client, root)


def do(*steps: str) -> tuple[str, str]:
    """The option that tells the probe what to do."""
    return "--hyperparam", f"do={' '.join(steps)}"


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, and what is in it."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def hashed(folder: Path) -> dict[str, str]:
    """Every file below a folder, its mode, and the SHA-256 of what is in it."""
    return {
        str(path.relative_to(folder)): f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


_NEIGHBOUR = """
import socket, time
while True:
    try:
        server = socket.create_server(("{address}", 80))
        break
    except OSError:  # the address is not there yet
        time.sleep(0.01)
print("listening", flush=True)
while True:
    server.accept()[0].close()
"""


@contextmanager
def neighbour() -> Iterator[str]:
    """Give the address of somebody beyond this machine, which forwards to him; "" where that needs more rights.

    This machine itself would not do: an old engine lets a container of an internal network reach it.
    """
    number = secrets.randbelow(64)
    here, there = f"198.51.100.{4 * number + 1}", f"198.51.100.{4 * number + 2}"  # TEST-NET-2: nobody's
    near, far = (f"byoc-{secrets.token_hex(2)}-{end}" for end in "ab")
    if os.geteuid() != 0 or not shutil.which("ip"):
        yield ""
        return

    def ip(*words: str, of: str = "") -> None:
        before = ("nsenter", "--target", of, "--net") if of else ()
        subprocess.run([*before, "ip", *words], check=True)

    words = ["unshare", "--net", sys.executable, "-c", _NEIGHBOUR.format(address=there)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            pid = str(process.pid)
            wait_for(lambda: Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink())
            ip("link", "add", near, "type", "veth", "peer", "name", far)
            ip("link", "set", far, "netns", pid)
            ip("address", "add", f"{here}/30", "dev", near)
            ip("link", "set", near, "up")
            ip("address", "add", f"{there}/30", "dev", far, of=pid)
            ip("link", "set", far, "up", of=pid)
            ip("route", "add", "default", "via", here, of=pid)
            assert process.stdout
            assert process.stdout.readline() == b"listening\n"
            yield f"{there}:80"
        finally:
            process.kill()  # its network goes with it, and so do both ends
