"""What the rows need: a project, images, data, containers; all of it made for one run and removed at its end."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.shell import BenchError, byoc, engine_client, run, say

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
PREFIX = "byoc-bench"


class Workshop:
    """One run's things. `docker` is the engine's own client; the names of all that is made end in `id`."""

    def __init__(self, rounds: int, sdk_python: str = "") -> None:
        self.rounds = rounds
        self.sdk_python = sdk_python
        self.id = secrets.token_hex(3)
        self.docker, self.client_version, self.engine_version = engine_client()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-"))
        # mkdtemp makes it 0700, and a container need not run as root.
        self.folder.chmod(0o755)
        self.project = self.folder / "project"
        self.project.mkdir()
        self._made: dict[str, Any] = {}
        self._images: list[str] = []
        self._projects = [self.project]
        self._numbers = itertools.count(1)

    def once(self, what: str, make: Callable[[], Any]) -> Any:
        """Make a thing that several rows use; one that failed fails for the next row at once."""
        if what not in self._made:
            say(f"  making: {what}")
            try:
                self._made[what] = make()
            except BenchError as error:
                self._made[what] = error
        made = self._made[what]
        if isinstance(made, BenchError):
            raise made
        return made

    def image(self, name: str, folder: Path, *options: str) -> str:
        """Build an image of a folder with byoc, so that this host's proxy, CA and base image are known to it."""

        def build() -> str:
            reference = self.own_image(name)
            # byoc keeps its log beside the Dockerfile: the bench's own folders are built from a copy.
            own = folder.is_relative_to(HERE)
            context = shutil.copytree(folder, self.folder / f"context-{name}") if own else folder
            run([*byoc(), "build", "-q", context, "--tag", reference, *options], seconds=3600)
            return reference

        return str(self.once(f"image {PREFIX}-{name}", build))

    def own_image(self, name: str) -> str:
        """Return a reference to build under; what bears it is removed at the end."""
        reference = f"{PREFIX}-{name}:{self.id}"
        self._images.append(reference)
        return reference

    def own_project(self, name: str) -> Path:
        """Return a folder for another project, not made yet; what byoc leaves of it in the engine goes at the end."""
        folder = self.folder / name
        self._projects.append(folder)
        return folder

    def has_image(self, name: str) -> bool:
        """Whether a row has made that image."""
        return isinstance(self._made.get(f"image {PREFIX}-{name}"), str)

    def toy(self) -> str:
        """Return the container that exits at once, and the project in which it is run."""
        return self.image("toy", HERE / "toy")

    def cifar10(self) -> str:
        """Return the bundled container."""
        return self.image("cifar10", REPOSITORY / "container")

    def cifar10_data(self) -> Path:
        """Return the folder of the real CIFAR-10."""
        folder = REPOSITORY / "container" / "data" / "cifar-10"
        if not (folder / "eval.tfrecords").is_file():
            raise BenchError("CIFAR-10 is not there: `make setup` fetches it")
        return folder

    def cifar10_model(self) -> Path:
        """Return the model of 100 steps on the real data."""

        def train() -> Path:
            words = [*byoc(), "local-train", "-q", self.cifar10(), "--channel", f"training={self.cifar10_data()}"]
            printed = run([*words, "--hyperparam", "train-steps=100"], cwd=self.project)
            return self.project / printed.strip() / "model"

        return Path(self.once("model of 100 steps", train))

    def container_name(self) -> str:
        """Return a new name; whatever bears one is removed at the end."""
        return f"{PREFIX}-{self.id}-{next(self._numbers)}"

    @contextlib.contextmanager
    def container(self, *words: str | Path) -> Iterator[str]:
        """`docker run -d` with a name of ours; removed afterwards."""
        name = self.container_name()
        try:
            run([self.docker, "run", "-d", "--name", name, *words])
            yield name
        finally:
            self.remove_container(name)

    def remove_container(self, name: str) -> None:
        """Remove it, whatever its state."""
        run([self.docker, "rm", "-f", "-v", name], check=False)

    def remove_all(self) -> None:
        """Remove all that this run made; a signal now would leave the rest behind, so none is taken."""
        held = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            ours = [f"label=byoc.project={project}" for project in dict.fromkeys(self._projects)]
            made_of_ours = [f"ancestor={reference}" for reference in self._images]
            self._remove("ps -aq --no-trunc", "rm -f -v", f"name={PREFIX}-{self.id}", *ours, *made_of_ours)
            self._remove("network ls -q", "network rm", *ours)
            self._remove("volume ls -q", "volume rm -f", *ours)
            for reference in reversed(self._images):
                run([self.docker, "image", "rm", reference], check=False, apart=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.folder.exists():
                say(f"warning: {self.folder} could not be removed")
        finally:
            for number, handler in held:
                signal.signal(number, handler)

    def _remove(self, listing: str, removal: str, *filters: str) -> None:
        for one in filters:
            found = run([self.docker, *listing.split(), "--filter", one], check=False, apart=True).split()
            if found:
                run([self.docker, *removal.split(), *found], check=False, apart=True)


def free_port() -> int:
    """Return a port that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_space(folder: Path, size: int) -> None:
    """Fail before a large file is made, not in the middle of it."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise BenchError(
            f"{folder} has {free / 1e9:.1f} GB free, this row needs {size / 1e9:.0f}; TMPDIR chooses another"
        )
