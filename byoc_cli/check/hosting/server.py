"""A container of the image that serves: made, started, watched, removed."""

from __future__ import annotations

import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from byoc_cli.check.bench import KIND, Bench
from byoc_cli.check.hosting.asking import Place
from byoc_cli.check.hosting.listening import Listening, has_unread, listening
from byoc_cli.check.model import NotTried
from byoc_cli.check.training.attempt import Listener
from byoc_cli.contract import hosting, paths
from byoc_cli.engine.types import CannotStart, Container, ContainerSpec, Exit, Mount
from byoc_cli.local import labels, reach
from byoc_cli.local.follower import Follower

_PIDS = 4096
_BRIDGE = "bridge"


@dataclass(frozen=True)
class Wanted:
    """How it is to be started.

    `models` are folders or archives by where they are to be; `isolated` leaves it without a network.
    """

    name: str
    models: Mapping[str, Path | None]
    port: int = hosting.PORT
    environment: Mapping[str, str] = field(default_factory=dict)
    isolated: bool = False
    user: str = ""
    memory: int = 0


class Server:
    """One that was started; `place` is its own address, or one of this machine where its own is out of reach."""

    def __init__(self, bench: Bench, container: Container, place: Place, port: int) -> None:
        self.place = place
        self.port = port
        self.container = container
        self.started = time.monotonic()
        self.bench = bench
        self._listener = Listener()
        self._follower = Follower(container, self._listener)
        self._pid = 0

    @property
    def pid(self) -> int:
        """The first process's number on the engine's machine."""
        self._pid = self._pid or self.container.pid()
        return self._pid

    @property
    def listens(self) -> list[Listening] | None:
        """Where it listens, None where that is not to be seen."""
        return listening(self.pid)

    @property
    def has_unread(self) -> bool:
        """Whether a request lies there that it has not read yet; False where that is not to be seen."""
        return has_unread(self.pid, self.port)

    @property
    def said_all(self) -> bool:
        """Whether its output has ended, as it does when the container does."""
        return self._follower.ended

    @property
    def log(self) -> str:
        """What it has printed so far; all of it, once the container has ended."""
        if self.exited():
            self._follower.join()
        return self._listener.text

    def end(self) -> None:
        """End it at once, so that its log is whole."""
        self.container.kill()
        self.container.wait()

    def exited(self) -> Exit | None:
        """Look whether it has ended."""
        self.bench.check()
        return self.container.exited()


class Refused(Exception):
    """The engine could not start it."""


@contextmanager
def served(bench: Bench, wanted: Wanted) -> Iterator[Server]:
    """Start it with its models, read-only.

    Raises:
        Refused: it cannot be started; says why.
        NotTried: without a network this machine does not reach it.

    """
    engine, job = bench.engine, bench.job
    name = f"{job}-{wanted.name}"
    marks = labels.for_job(bench.order.project, KIND, job, image=bench.order.reference)
    with ExitStack() as undo:
        bench.check()
        mounts = []
        for number, (target, folder) in enumerate(wanted.models.items()):
            volume = engine.create_volume(f"{name}-model-{number}", marks)
            undo.callback(engine.remove_volume, volume)
            if folder:
                _fill(bench, wanted, volume, folder)
            mounts.append(Mount(target, volume, read_only=True))
        network = _BRIDGE
        if wanted.isolated:
            engine.create_network(name, marks, internal=True)
            undo.callback(engine.remove_network, name)
            network = name
        spec = ContainerSpec(
            bench.order.image.id,
            [hosting.COMMAND],
            name,
            marks,
            environment=wanted.environment,
            mounts=mounts,
            network=network,
            ports={} if wanted.isolated else {wanted.port: 0},
            memory=wanted.memory or engine.info().memory // 2,
            pids=_PIDS,
            user=wanted.user,
        )
        bench.check()
        container = engine.create(spec)
        undo.callback(container.remove)
        try:
            container.start()
        except CannotStart as error:
            raise Refused(error.message) from error
        yield Server(bench, container, _place(bench, container, network, wanted), wanted.port)


def _place(bench: Bench, container: Container, network: str, wanted: Wanted) -> Place:
    """Give its own address where that is in reach: what is published is answered by the engine, which is no proof."""
    address = container.address(network)
    if address and not reach.elsewhere(bench.engine.info()) and reach.is_here(address):
        return Place(address.partition("/")[0], wanted.port)
    if address and wanted.isolated:
        raise NotTried("the engine's networks are not this machine's: without a network it cannot be reached")
    return Place("127.0.0.1", container.port(wanted.port))  # also of one that has ended already


def _fill(bench: Bench, wanted: Wanted, volume: str, model: Path) -> None:
    """Put a model into a volume, as root's: a container that never starts holds it open for us."""
    mounts = [Mount(paths.MODEL, volume)]
    with bench.container(f"{wanted.name}-fill{volume[-1]}", mounts=mounts) as filler, ExitStack() as undo:
        if model.is_file():  # the engine unpacks it
            file: IO[bytes] = undo.enter_context(model.open("rb"))
        else:
            file = undo.enter_context(tempfile.TemporaryFile())
            with tarfile.open(fileobj=file, mode="w") as tar:
                tar.add(model, ".", filter=_of_root)
            file.seek(0)
        filler.put(paths.MODEL, iter(lambda: file.read(1 << 20), b""))


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode |= 0o444 | (0o111 if member.isdir() else 0)
    return member
