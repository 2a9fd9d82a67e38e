"""What the engine can do, as data and two small protocols. A fake in tests/fakes.py is held to the same tests."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from byoc_cli.errors import ByocError, MachineError, UsageError

PROJECT_LABEL = "byoc.project"
KIND_LABEL = "byoc.kind"
JOB_LABEL = "byoc.job"
IMAGE_LABEL = "byoc.image"
"""On a container: the name of its image, where it was made from the image's id."""
BASE_REPOSITORY = "byoc-base"
BASE_LABEL = "byoc.base-for"
"""On a local image of that name: the reference it stands in for where no registry answers.

Both are looked at, because an image inherits the labels of its base.
"""

Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True)
class Credentials:
    """A login for one registry; the password shows up nowhere."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Mount:
    """What is at `target` in the container: the host's path or the volume `source`, "" a fresh volume of root's."""

    target: str
    source: str = ""
    read_only: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """All that a container is made of.

    `ports` maps the container's port to the host's, on 127.0.0.1 only (0 lets the engine choose); `network` is a
    network's name, "" the engine's default, "none" no network; `gpus` is "none", "all" or a count; `entrypoint` is in
    the place of the image's own, None leaves that. `cpuset` names CPUs ("0-3", "0,6-7"), "" all of them; `memory` is
    the most it may use, without swap, and `shm_size` the size of /dev/shm, both in bytes, 0 the engine's default (no
    limit; 64 MiB). `cpus` is how many CPUs worth of time it may use, and `pids` how many processes and threads it may
    have, both 0 for no limit. `user` is "UID:GID", "" the image's own. `volumes_from` is a container whose mounts it
    has as well; `terminal` gives it one, for `terminal.attach`.
    """

    image: str
    command: Sequence[str]
    name: str
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    network: str = ""
    aliases: Sequence[str] = ()
    hostname: str = ""
    ports: Mapping[int, int] = field(default_factory=dict)
    gpus: str = "none"
    entrypoint: Sequence[str] | None = None
    cpuset: str = ""
    memory: int = 0
    shm_size: int = 0
    cpus: float = 0
    pids: int = 0
    user: str = ""
    volumes_from: str = ""
    terminal: bool = False


@dataclass(frozen=True)
class Exit:
    """How a container ended; `error` is the engine's own word, mostly ""."""

    code: int
    out_of_memory: bool = False
    error: str = ""


@dataclass(frozen=True)
class FileStat:
    """A file as the container sees it: size in bytes, `mode` as Go's os.FileMode, `modified` in the engine's words.

    `link` is where a symbolic link leads, as an absolute path; "" for all else.
    """

    name: str
    size: int
    mode: int
    modified: str = ""
    link: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether it is a directory."""
        return bool(self.mode >> 31 & 1)

    @property
    def executable(self) -> bool:
        """Whether root may execute it: a bit for anybody is enough."""
        return not self.is_folder and bool(self.mode & 0o111)


DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The engine's PATH for an image that has none."""


@dataclass(frozen=True)
class ImageConfig:
    """What an image says of how it is run, to the letter; `user` may have a group ("1000:0")."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_folder: str = ""
    user: str = ""
    volumes: Sequence[str] = ()
    stop_signal: str = ""


@dataclass(frozen=True)
class Image:
    """An image in the engine.

    `tagged` is when it last got a name (seconds since the epoch), `size` in bytes; `user` is "" for root.
    """

    id: str
    tags: Sequence[str]
    digests: Sequence[str]
    tagged: float
    architecture: str
    os: str
    size: int
    labels: Mapping[str, str]
    user: str = ""
    config: ImageConfig = field(default_factory=ImageConfig)


@dataclass(frozen=True)
class EngineInfo:
    """The engine as it describes itself; `remote` means that it does not share this machine's files for sure."""

    name: str
    version: str
    operating_system: str
    architecture: str
    cpus: int
    memory: int
    address: str
    remote: bool
    containerd_store: bool
    root: str


@dataclass(frozen=True)
class Thing:
    """A container, network, volume or image that byoc made; `state` is a container's word ("running", "exited", …)."""

    type: Literal["container", "network", "volume", "image"]
    id: str
    name: str
    kind: str
    job: str
    project: str
    state: str = ""
    image: str = ""
    created: float = 0.0
    ports: Mapping[int, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether it is a container that has not ended."""
        return self.state in {"running", "paused", "restarting"}


class CannotStart(ByocError):
    """The engine refused to start the program; `exit_code_of_program` is what a shell would give (126, 127)."""

    def __init__(self, message: str, exit_code_of_program: int, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code_of_program = exit_code_of_program


class SubnetTaken(MachineError):
    """Another network of the engine has these addresses."""


class NameTaken(UsageError):
    """There is a container or a network of that name, of this project or another."""


class ContainerGone(ByocError):
    """Somebody removed the container, and what was in it."""


class EngineGone(MachineError):
    """The engine answered before and does not any more; what it ran may run on."""


class Container(Protocol):
    """A container from its making to its removal; whoever needs one that is gone is told so by ContainerGone."""

    id: str
    name: str

    def put(self, folder: str, tar: bytes | Iterable[bytes]) -> None:
        """Unpack a tar into `folder`, also before the start; files belong to whom the tar says."""

    def get(self, path: str) -> Generator[bytes, None, None]:
        """Give `path` as a tar whose entries begin with its last part; nothing where there is no such path."""

    def stat(self, path: str) -> FileStat | None:
        """Look at one file through the container's mounts, also before the start; None where there is none."""

    def connect(self, network: str) -> None:
        """Put it on one more network, before the start; the first stays its way out, and its eth0."""

    def start(self) -> None:
        """Start it; output is kept from the first byte.

        Raises:
            CannotStart: the program is not there or cannot be executed.
            MachineError: no GPU, a taken port.

        """

    def output(self) -> Iterator[tuple[Stream, bytes]]:
        """Give what it prints as it comes, in pieces that are not lines, until it ends."""

    def wait(self) -> Exit:
        """Wait for the end."""

    def exited(self) -> Exit | None:
        """Look whether it has ended."""

    def was_signalled(self) -> bool:
        """Whether somebody sent it a signal through the engine (`docker stop`, `docker kill`, ours)."""

    def is_there(self) -> bool:
        """Whether nobody has removed it, or is about to: in between an engine answers with all kinds of errors."""

    def is_on(self, network: str) -> bool:
        """Whether it is, or was at its end, on the network of that name."""

    def stop(self, grace: float) -> None:
        """Send SIGTERM, and SIGKILL after `grace` seconds; returns when it has ended."""

    def kill(self) -> None:
        """Send SIGKILL."""

    def logs(self, *, tail: int | None = None, follow: bool = False) -> Iterator[bytes]:
        """Give what it printed so far (the last `tail` lines of it), and with `follow` what comes."""

    def changes(self) -> list[str]:
        """List the files that it made or changed, but in its mounts."""

    def pid(self) -> int:
        """Return its first process's number on the engine's machine, 0 where it does not run."""

    def free_cpus(self) -> None:
        """Take back the limit that `cpus` set; it may be gone already."""

    def cpu_seconds(self) -> float:
        """Return the time that all its processes have had of a CPU so far."""

    def port(self, port: int) -> int:
        """Return the host's port for a published one."""

    def address(self, network: str) -> str:
        """Return its own address on a network, with the network's size ("172.18.0.2/16"); "" unless it runs there."""

    def remove(self) -> None:
        """Remove it with its volumes, running or not; it may be gone already."""


class Engine(Protocol):
    """A Docker Engine, or what speaks its API."""

    def info(self) -> EngineInfo:
        """Ask the engine what it is."""

    def image(self, reference: str) -> Image | None:
        """Look an image up locally."""

    def touch(self, reference: str) -> None:
        """Let the engine know that an image got its name now: BuildKit does not, where every step was cached."""

    def stand_in(self, reference: str) -> str:
        """Return the local image that stands in for a base image which no registry gives; "" where there is none."""

    def registry_gives(self, reference: str) -> bool:
        """Ask the registry, through the engine, whether it has the image; False where it does not answer."""

    def create(self, spec: ContainerSpec) -> Container:
        """Create a container.

        Raises:
            ByocError: there is no such image.
            NameTaken: there is a container of that name.

        """

    def container(self, name: str) -> Container:
        """Take hold of a container that is there."""

    def create_network(
        self, name: str, labels: Mapping[str, str], *, internal: bool = False, subnet: str = "", gateway: str = ""
    ) -> None:
        """Create a bridge network; an internal one leads nowhere but to what is on it, and to its gateway.

        `gateway` is the engine's machine as it is known there, an address of `subnet` ("169.254.170.0/28"); without
        them the engine chooses.

        Raises:
            NameTaken: there is a network of that name.
            SubnetTaken: another network has the subnet, or a part of it.

        """

    def remove_network(self, name: str) -> None:
        """Remove a network that no running container uses; it may be gone already."""

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Create a volume and give its name, which is a Mount's `source`."""

    def create_overlays(self, folders: Mapping[str, str], image: str, labels: Mapping[str, str]) -> list[str]:
        """Create volumes (name to the host's folder) that show a folder and can be written to: it never changes.

        `image` is any local image. Gives the names of all volumes that were made, one for what is written among them.
        An engine that cannot mount them says so when a container with such a volume is first looked into.
        """

    def remove_volume(self, name: str) -> None:
        """Remove a volume that no container uses; it may be gone already."""

    def things(self, *, project: str | None = None) -> list[Thing]:
        """Everything of byoc's in the engine, of one project or of all."""

    def secret_holders(self) -> list[Thing]:
        """Images that hold secrets for the time of a build with the classic builder, of all projects."""

    def remove(self, thing: Thing) -> None:
        """Remove it, a container with its volumes; it may be gone already."""
