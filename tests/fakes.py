"""An engine without Docker: containers are folders and threads, programs are Python. Held to tests/engine_contract.py.

A program is a generator: it is given a Box (the container as it sees it), yields what it prints and returns its exit
code. What it raises becomes a traceback on its stderr and exit code 1, as in a real container.
"""

from __future__ import annotations

import io
import itertools
import posixpath
import secrets
import shutil
import signal
import socket
import stat
import tarfile
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import cast

from byoc_cli.commands.options import Doors
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.owner import OWNER_LABEL
from byoc_cli.engine.types import (
    IMAGE_LABEL,
    JOB_LABEL,
    KIND_LABEL,
    PROJECT_LABEL,
    CannotStart,
    ContainerGone,
    ContainerSpec,
    EngineInfo,
    Exit,
    FileStat,
    Image,
    ImageConfig,
    NameTaken,
    Stream,
    SubnetTaken,
    Thing,
)
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local.gateway.process import Gateway
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.output import prefixed
from tests.ports import free_port

Program = Callable[["Box"], Generator[tuple[Stream, bytes], None, int | Exit]]

CPUS = 2  # of the machine that the fake engine runs on
_DIRECTORY, _SYMLINK = 1 << 31, 1 << 27  # of Go's os.FileMode


def numbers(cpuset: str) -> list[int]:
    """The CPUs that a cpuset names: "0,6-7" is [0, 6, 7]."""
    ranges = [part.split("-") for part in cpuset.split(",") if part]
    return [number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)]


def not_executable(_: Box) -> Generator[tuple[Stream, bytes], None, int]:
    """A program without its execute bit."""
    yield from ()
    raise AssertionError("it cannot be started")


class _Killed(Exception):
    """SIGKILL, as a program's thread feels it."""


class Box:
    """A container as its program sees it."""

    def __init__(
        self, spec: ContainerSpec, folder: Path, mounts: Mapping[str, Path], ports: Mapping[int, int], address: str
    ) -> None:
        self.environment = dict(spec.environment)
        self.hostname = spec.hostname
        self.user = spec.user
        self.address = "127.0.0.1" if ports else address  # to listen on
        self.cpus = len(numbers(spec.cpuset)) or CPUS
        self.memory = spec.memory
        self.shm_size = spec.shm_size or 64 << 20
        self._folder = folder
        self.mounts = dict(sorted(mounts.items(), key=lambda mount: -len(mount[0])))
        self._ports = ports
        self.signals: list[int] = []
        self._came = threading.Condition()

    def path(self, place: str) -> Path:
        """Where a path of the container really is."""
        place = posixpath.normpath(place)
        for target, source in self.mounts.items():
            if place == target or place.startswith(target + "/"):
                return source / place[len(target) + 1 :]
        return self._folder / place.lstrip("/")

    def port(self, port: int) -> int:
        """The port to listen on: for a published one that of 127.0.0.1."""
        return self._ports.get(port, port)

    def wait_for_signal(self, timeout: float = 60.0) -> int:
        """Wait until a signal comes; SIGKILL ends the program here."""
        with self._came:
            if not self._came.wait_for(lambda: self.signals, timeout):
                raise TimeoutError("nobody sent a signal")
            if signal.SIGKILL in self.signals:
                raise _Killed
            return self.signals.pop(0)

    def send(self, number: int) -> None:
        """Send a signal to the program."""
        with self._came:
            self.signals.append(number)
            self._came.notify_all()

    def check(self) -> None:
        """End here after a SIGKILL."""
        if signal.SIGKILL in self.signals:
            raise _Killed


@dataclass
class _Life:
    """A container from its making to its removal, whoever holds it."""

    id: str
    spec: ContainerSpec
    program: Program | None
    box: Box
    ports: Mapping[int, int]
    read_only: Sequence[str]
    volumes: Sequence[str]
    created: float
    address: str
    state: str = "created"
    exit: Exit | None = None
    signalled: bool = False
    networks: list[str] = field(default_factory=list)
    printed: list[tuple[Stream, bytes]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def run(self, program: Program) -> None:
        generator = program(self.box)
        try:
            while True:
                self.box.check()
                self._print(*next(generator))
        except StopIteration as end:
            code = end.value
            ended = code if isinstance(code, Exit) else Exit(code or 0)
        except _Killed:
            ended = Exit(137)
        except Exception:  # noqa: BLE001 - whatever a program raises
            self._print("stderr", traceback.format_exc().encode())
            ended = Exit(1)
        generator.close()
        with self.changed:
            self.exit, self.state = ended, "exited"
            self.changed.notify_all()

    def _print(self, stream: Stream, data: bytes) -> None:
        with self.changed:
            self.printed.append((stream, data))
            self.changed.notify_all()

    def pieces(self, *, follow: bool) -> Iterator[tuple[Stream, bytes]]:
        """What was printed, and with `follow` what comes until the end."""
        for index in itertools.count():
            with self.changed:
                if follow:
                    while index >= len(self.printed) and self.state == "running":
                        self.changed.wait()
                if index >= len(self.printed):
                    return
                piece = self.printed[index]
            yield piece

    def end(self, timeout: float | None = None) -> bool:
        """Wait for the end; says whether it came."""
        with self.changed:
            return self.changed.wait_for(lambda: self.state != "running", timeout)


class FakeContainer:
    """A `Container`."""

    def __init__(self, engine: FakeEngine, life: _Life) -> None:
        self.id = life.id
        self.name = life.spec.name
        self.fetched: list[str] = []  # what `get` was asked for
        self._engine = engine
        self._life = life
        self._attached = False

    def _look_into(self) -> None:
        """Mount what it has, as a real engine does for every look into a container."""
        volumes = {mount.source for mount in self._life.spec.mounts}
        if not self._engine.overlays_work and volumes & set(self._engine.overlays):
            raise ByocError("the Docker Engine refused\nerror while mounting volume: invalid argument")

    def put(self, folder: str, tar: bytes | Iterable[bytes]) -> None:
        self._look_into()
        data = tar if isinstance(tar, bytes) else b"".join(tar)
        if any(folder == target or folder.startswith(target + "/") for target in self._life.read_only):
            raise ByocError("the Docker Engine refused\nmounted volume is marked read-only")
        if not self._life.box.path(folder).is_dir():
            raise ByocError(f"the Docker Engine refused\nCould not find the file {folder} in container {self.id}")
        try:
            self._unpack(folder, data)
        except (EOFError, tarfile.TarError) as error:
            raise ByocError(f"the Docker Engine refused\nError processing tar file(exit status 1): {error}") from error

    def _unpack(self, folder: str, data: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as opened:
            for member in opened:
                target = self._life.box.path(f"{folder}/{member.name}")
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                elif member.issym():
                    target.symlink_to(member.linkname)
                    continue
                elif source := opened.extractfile(member):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(source.read())
                target.chmod(member.mode)

    @property
    def mounts(self) -> Mapping[str, Path]:
        """Where the files of each mount are."""
        return self._life.box.mounts

    def inside(self, place: str) -> Path:
        """Where a path of the container really is."""
        return self._life.box.path(place)

    def _require(self) -> None:
        if not self.is_there():
            raise ContainerGone(f"the container is not there any more\nNo such container: {self.id}")

    def get(self, path: str) -> Generator[bytes, None, None]:
        self._require()
        self.fetched.append(path)
        data = self._engine.archives.get(path)
        if data is None:
            place = self._life.box.path(path)
            if not place.exists():
                return
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                tar.add(place, arcname=posixpath.basename(path))
            data = buffer.getvalue()
        for at in range(0, len(data), 10_000):
            yield data[at : at + 10_000]

    def stat(self, path: str) -> FileStat | None:
        self._look_into()
        place = self._life.box.path(path)
        try:
            found = place.lstat()
        except OSError:
            return None
        kind = _DIRECTORY if stat.S_ISDIR(found.st_mode) else _SYMLINK if stat.S_ISLNK(found.st_mode) else 0
        modified = f"{found.st_mtime_ns // 10**9}.{found.st_mtime_ns % 10**9:09}"
        link = posixpath.join(posixpath.dirname(path), str(place.readlink())) if kind == _SYMLINK else ""
        link = posixpath.normpath(link) if link else ""
        return FileStat(posixpath.basename(path), found.st_size, stat.S_IMODE(found.st_mode) | kind, modified, link)

    def connect(self, network: str) -> None:
        self._life.networks.append(network)

    def start(self) -> None:
        spec, program = self._life.spec, self._life.program
        word = [*(spec.entrypoint or ()), *spec.command][0]
        # As runc: on PATH it looks for what can be executed, and finds nothing else.
        if program is None or (program is not_executable and "/" not in word):
            raise CannotStart(
                f'exec: "{word}": executable file not found in $PATH',
                127,
                hint=f"put an executable `{word}` on the image's PATH",
            )
        if program is not_executable:
            raise CannotStart(f'exec: "{word}": permission denied', 126, hint=f"chmod +x {word}")
        if spec.gpus != "none" and not self._engine.gpus:
            raise MachineError("this engine has no GPU to give", hint="leave --gpus out")
        if missing := [name for name in self._life.networks if name not in self._engine.networks]:
            raise ByocError(f"the Docker Engine refused\nnetwork {missing[0]} not found")
        if taken := [port for port in spec.ports.values() if port in self._engine.taken_ports()]:
            raise MachineError(f"the port is taken\n{taken[0]}", hint="choose another one with --port")
        self._life.state = "running"
        self._attached = True
        threading.Thread(target=self._life.run, args=(program,), daemon=True).start()

    def output(self) -> Iterator[tuple[Stream, bytes]]:
        return self._life.pieces(follow=True) if self._attached else iter(())

    def wait(self) -> Exit:
        self._require()
        self._life.end()
        return self._life.exit or Exit(0)

    def exited(self) -> Exit | None:
        return self._life.exit

    def was_signalled(self) -> bool:
        return self._life.signalled

    def is_there(self) -> bool:
        return self._life.id in self._engine.lives

    def is_on(self, network: str) -> bool:
        self._require()
        return network == self._life.spec.network and network in self._engine.networks

    def stop(self, grace: float) -> None:
        self._engine.graces.append(grace)
        self._send(signal.SIGTERM)
        if not self._life.end(grace):
            self.kill()

    def kill(self) -> None:
        self._send(signal.SIGKILL)
        self._life.end(60)

    def _send(self, number: int) -> None:
        if self._life.state == "running":
            self._life.signalled = True
            self._life.box.send(number)

    def logs(self, *, tail: int | None = None, follow: bool = False) -> Iterator[bytes]:
        before = b"".join(data for _, data in self._life.pieces(follow=False))
        lines = io.BytesIO(before).readlines()
        yield b"".join(lines if tail is None else lines[max(0, len(lines) - tail) :])
        if follow:
            already = len(before)
            for _, data in self._life.pieces(follow=True):
                if already >= len(data):
                    already -= len(data)
                else:
                    yield data[already:]
                    already = 0

    def changes(self) -> list[str]:
        return []

    def pid(self) -> int:
        return 0

    def free_cpus(self) -> None:
        pass  # a fake's program has no CPU to wait for

    def cpu_seconds(self) -> float:
        return 0.0

    def port(self, port: int) -> int:
        return self._life.ports.get(port, 0) if self._life.state == "running" else 0

    def address(self, network: str) -> str:
        on = self._life.state == "running" and network in self._life.networks
        return f"{self._life.address}/{self._engine.prefix}" if on else ""

    def remove(self) -> None:
        if self._life.id in self._engine.lives:
            self.kill()
            self._engine.forget(self._life)


class _Api:
    """Docker's own answers, where no method of an Engine gives them."""

    def version(self, *, api_version: bool) -> Mapping[str, object]:  # noqa: ARG002
        return {"Components": [{"Name": "Engine"}]}


class FakeEngine:
    """An `Engine`; `files` is a folder for what containers and volumes hold.

    Knobs: `gpus` it has; `sees_files` is False for an engine that does not share this machine's files;
    `overlays_work` is False for one that cannot mount what `create_overlays` makes; `prefix` is the size of its
    networks, "32" for those that this machine is not on; `registry` is what a registry gives; `stand_ins` maps a
    reference to the local image that fills in for it; `archives` maps a path to the tar that `get` gives of it instead
    of the real one. Its memory: `specs` of every container that was made, `graces` in seconds that were given to those
    that were stopped.
    """

    def __init__(self, files: Path, *, gpus: int = 0, sees_files: bool = True) -> None:
        self.files = files
        self.gpus = gpus
        self.sees_files = sees_files
        self.api = _Api()
        self.registry: set[str] = set()
        self.stand_ins: dict[str, str] = {}
        self.archives: dict[str, bytes] = {}
        self.specs: list[ContainerSpec] = []
        self.graces: list[float] = []
        self.images: dict[str, tuple[Image, Mapping[str, Program]]] = {}
        self.contents: dict[str, Mapping[str, bytes]] = {}  # of images, by their ids
        self.lives: dict[str, _Life] = {}
        self.networks: dict[str, Mapping[str, str]] = {}
        self.volumes: dict[str, Mapping[str, str]] = {}
        self.overlays_work = sees_files
        self.prefix = "8"  # of loopback addresses
        self.internal: set[str] = set()  # networks that lead nowhere
        self.subnets: dict[str, IPv4Network | IPv6Network] = {}  # of the networks that were made with one
        self.overlays: dict[str, str] = {}  # volume to the folder that it shows
        self._count = itertools.count()

    def add_image(
        self,
        reference: str,
        programs: Mapping[str, Program] | None = None,
        *,
        tagged: float = 0,
        labels: Mapping[str, str] | None = None,
        contents: Mapping[str, bytes] | None = None,
        config: ImageConfig | None = None,
        size: int = 123_000_000,
    ) -> Image:
        """Let there be an image; its programs are what is on its PATH, its contents executable files by their paths."""
        image = Image(
            id="sha256:" + secrets.token_hex(32),
            tags=[reference],
            digests=[],
            tagged=tagged or time.time() + 60,
            architecture="amd64",
            os="linux",
            size=size,
            labels=labels or {},
            config=config or ImageConfig(),
        )
        self.contents[image.id] = contents or {}
        self.images[reference] = self.images[image.id] = (image, programs or {})
        return image

    def info(self) -> EngineInfo:
        return EngineInfo(
            name="fake",
            version="1.2.3",
            operating_system="Fake OS",
            architecture="amd64",
            cpus=CPUS,
            memory=8 << 30,
            address="http+docker://localhost",
            remote=not self.sees_files,
            containerd_store=False,
            root="/nowhere",
        )

    def image(self, reference: str) -> Image | None:
        named = reference if ":" in reference.rpartition("/")[2] or "@" in reference else reference + ":latest"
        return self.images[named][0] if named in self.images else None

    def touch(self, reference: str) -> None:
        if reference in self.images:
            image, programs = self.images[reference]
            self.images[reference] = self.images[image.id] = (replace(image, tagged=time.time()), programs)

    def stand_in(self, reference: str) -> str:
        return self.stand_ins.get(reference, "")

    def registry_gives(self, reference: str) -> bool:
        return reference in self.registry

    def create(self, spec: ContainerSpec) -> FakeContainer:
        image = self.image(spec.image)
        if image is None:
            raise ByocError(f"there is no image '{spec.image}' here", hint="byoc build")
        if any(life.spec.name == spec.name for life in self.lives.values()):
            raise NameTaken(f"the name '{spec.name}' is taken")
        if any(cpu >= CPUS for cpu in numbers(spec.cpuset)):
            raise MachineError(f"this engine has not the CPUs that were asked for\n{spec.cpuset}")
        self.specs.append(spec)
        life_id = secrets.token_hex(32)
        mounts, fresh = self._mount(spec)
        ports = {port: host or free_port() for port, host in spec.ports.items()}
        folder = self._folder(life_id)
        address = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
        for place in ("tmp", "opt/ml"):
            (folder / place).mkdir(parents=True)
        for path, content in self.contents[image.id].items():
            file = folder / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(0o755)
        self.lives[life_id] = _Life(
            id=life_id,
            spec=spec,
            program=self.images[image.id][1].get(posixpath.basename(([*(spec.entrypoint or ()), *spec.command])[0])),
            box=Box(spec, folder, mounts, ports, address),
            ports=ports,
            read_only=[mount.target for mount in spec.mounts if mount.read_only],
            volumes=fresh,
            networks=[spec.network] if spec.network not in {"", "none"} else [],
            created=time.time() + next(self._count) / 1000,
            address=address,
        )
        return FakeContainer(self, self.lives[life_id])

    def _mount(self, spec: ContainerSpec) -> tuple[dict[str, Path], list[str]]:
        """Where each mount's files are, and the volumes that were made for this container alone."""
        mounts = dict(self.container(spec.volumes_from).mounts) if spec.volumes_from else {}
        fresh = []
        for mount in spec.mounts:
            if mount.source.startswith("/"):
                mounts[mount.target] = Path(mount.source) if self.sees_files else self._folder(secrets.token_hex(8))
                continue
            name = mount.source or secrets.token_hex(32)
            if not mount.source:
                fresh.append(name)
            if name not in self.volumes:
                self.create_volume(name, spec.labels)
            mounts[mount.target] = self.files / name
        return mounts, fresh

    def _folder(self, name: str) -> Path:
        folder = self.files / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def container(self, name: str) -> FakeContainer:
        for life in self.lives.values():
            if name in {life.id, life.spec.name}:
                return FakeContainer(self, life)
        raise ByocError(f"there is no container '{name}'", hint="byoc ps")

    def create_network(
        self, name: str, labels: Mapping[str, str], *, internal: bool = False, subnet: str = "", gateway: str = ""
    ) -> None:
        if name in self.networks:
            raise NameTaken(f"the name '{name}' is taken")
        wanted = ip_network(subnet) if subnet else None
        if wanted and any(wanted.overlaps(taken) for taken in self.subnets.values()):
            raise SubnetTaken(f"another network has these addresses\n{subnet}")
        if wanted and ip_address(gateway) not in wanted:
            raise ByocError(f"the Docker Engine refused\nno matching subnet for gateway {gateway}")
        self.networks[name] = dict(labels)
        if wanted:
            self.subnets[name] = wanted
        if internal:
            self.internal.add(name)

    def remove_network(self, name: str) -> None:
        if any(name in life.networks and life.state == "running" for life in self.lives.values()):
            raise ByocError(f"the Docker Engine refused\nnetwork {name} has active endpoints")
        self.networks.pop(name, None)
        self.subnets.pop(name, None)

    def create_overlays(self, folders: Mapping[str, str], image: str, labels: Mapping[str, str]) -> list[str]:
        if self.image(image) is None:
            raise ByocError(f"there is no image '{image}' here", hint="byoc build")
        writes = self.create_volume(f"{next(iter(folders))}-writes", labels)
        for name, folder in folders.items():
            self.create_volume(name, labels)
            self.overlays[name] = folder
            if self.overlays_work:
                shutil.copytree(folder, self.files / name, dirs_exist_ok=True)
        return [*folders, writes]

    def remove_volume(self, name: str) -> None:
        self.volumes.pop(name, None)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        self.volumes[name] = dict(labels)
        self._folder(name)
        return name

    def things(self, *, project: str | None = None) -> list[Thing]:
        found = [
            _thing(
                Thing("container", life.id, life.spec.name, "", "", "", state=life.state, image=_image_of(life.spec)),
                life.spec.labels,
                created=life.created,
                ports=life.ports if life.state == "running" else {},
            )
            for life in self.lives.values()
        ]
        found += [_thing(Thing("network", name, name, "", "", ""), labels) for name, labels in self.networks.items()]
        found += [_thing(Thing("volume", name, name, "", "", ""), labels) for name, labels in self.volumes.items()]
        return [
            thing for thing in found if PROJECT_LABEL in thing.labels and (project is None or thing.project == project)
        ]

    def secret_holders(self) -> list[Thing]:
        return [
            _thing(Thing("image", tag, tag, "", "", ""), image.labels)
            for tag, (image, _) in self.images.items()
            if tag.startswith("byoc-secrets:") and OWNER_LABEL in image.labels
        ]

    def remove(self, thing: Thing) -> None:
        if thing.type == "image":
            self.images.pop(thing.id, None)
        elif thing.type == "container":
            if thing.id in self.lives:
                FakeContainer(self, self.lives[thing.id]).remove()
        elif thing.type == "network":
            self.remove_network(thing.id)
        else:
            self.remove_volume(thing.id)

    def forget(self, life: _Life) -> None:
        """Drop a container and the volumes that were made for it."""
        self.lives.pop(life.id, None)
        for name in life.volumes:
            self.volumes.pop(name, None)

    def taken_ports(self) -> set[int]:
        """Ports of 127.0.0.1 that running containers hold."""
        return {port for life in self.lives.values() if life.state == "running" for port in life.ports.values()}

    @property
    def empty(self) -> bool:
        """Whether no container, network or volume is left."""
        return not (self.lives or self.networks or self.volumes)


def _thing(thing: Thing, labels: Mapping[str, str], **more: object) -> Thing:
    own = {"kind": labels.get(KIND_LABEL, ""), "job": labels.get(JOB_LABEL, "")}
    project = labels.get(PROJECT_LABEL, "")
    return Thing(**{**thing.__dict__, **own, "project": project, "labels": dict(labels), **more})


def _image_of(spec: ContainerSpec) -> str:
    return spec.labels.get(IMAGE_LABEL) or spec.image


def doors(engine: FakeEngine) -> Doors:
    """Doors for main() that lead to a fake engine; a detached endpoint's local endpoint is a thread."""

    def launch(listener: socket.socket, _: Path) -> Gateway:
        from byoc_cli.local.gateway.thread import ThreadGateway  # late: most tests need no aiohttp

        class Detached(ThreadGateway):
            def begin(self, settings: Settings, containers: Sequence[str]) -> None:
                super().begin(settings, containers)
                for watched in map(engine.container, containers):
                    threading.Thread(target=self._watch, args=(watched,), daemon=True).start()

            def _watch(self, container: FakeContainer) -> None:
                container.wait()
                self.end()

            def end(self) -> None:
                super().end()
                self._listener.close()  # a process that is killed before it began takes it along

        return Detached(listener.dup(), Told())

    return Doors(connect=lambda: cast("DockerEngine", engine), launch=launch)


@dataclass
class Told:
    """A `Progress` that remembers what it was told."""

    logs: list[str] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    printed: bytes = b""
    bars: list[tuple[str, int | None]] = field(default_factory=list)
    done: int = 0

    def log(self, text: str) -> None:
        self.logs.append(text)

    def warn(self, text: str, hint: str = "") -> None:
        self.warnings.append((text, hint))

    def output(self, data: bytes, prefix: str = "") -> None:
        self.printed += prefixed(data, prefix)

    @contextmanager
    def bytes_done(self, label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        self.bars.append((label, total))

        def advance(amount: int) -> None:
            self.done += amount

        yield advance
