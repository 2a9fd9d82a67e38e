"""A container of an endpoint: made as SageMaker makes it (H-01 to H-12, and H-30 for one of several)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path

from byoc_cli.contract import hosting, multi_model, paths
from byoc_cli.engine.types import CannotStart, Container, ContainerGone, ContainerSpec, Engine, Exit, Mount
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local.follower import Follower
from byoc_cli.local.hosting import serverless, unpacked
from byoc_cli.local.hosting.request import MODEL_LABEL, Definition, EndpointFailed, EndpointRequest
from byoc_cli.local.labels import HOST_LABEL, PORT_LABEL
from byoc_cli.local.mounts import check_mount
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project


@dataclass(frozen=True)
class Place:
    """One of a request's containers, by its index."""

    request: EndpointRequest
    index: int

    @property
    def definition(self) -> Definition:
        """What it was asked to be."""
        return self.request.containers[self.index]

    @property
    def alone(self) -> bool:
        """Whether it is the endpoint's only one."""
        return len(self.request.containers) == 1

    @property
    def who(self) -> str:
        """What it is called in a message."""
        return "the container" if self.alone else self.definition.hostname

    @property
    def name(self) -> str:
        """What it is called in the engine."""
        return self.request.network + ("" if self.alone else f"-{self.definition.hostname}")

    @property
    def model(self) -> Path | None:
        """What it serves: a model, or a folder of many."""
        return self.definition.model or self.request.models

    @property
    def volume(self) -> str:
        """Where its model is, if that is no folder."""
        return f"{self.name}-model"

    @property
    def port(self) -> int:
        """Where it has to listen."""
        return hosting.PORT if self.alone else hosting.bind_port(self.index)


@dataclass(frozen=True)
class Member:
    """A container of an endpoint, started."""

    place: Place
    container: Container
    follower: Follower

    @property
    def who(self) -> str:
        """What it is called in a message."""
        return self.place.who

    @property
    def hostname(self) -> str:
        """What SageMaker calls it."""
        return self.place.definition.hostname

    @property
    def address(self) -> str:
        """Where it answers (HOST:PORT)."""
        return self.at(self.place.port)

    def at(self, port: int) -> str:
        """Say where a port of it is: on this machine, or, isolated, at its own address (H-26)."""
        request = self.place.request
        if address := request.network_isolation and self.container.address(request.network):
            return f"{ip_interface(address).ip}:{port}"
        own = request.port if request.raw else 0
        return f"127.0.0.1:{own or self.container.port(port)}"

    def exited(self) -> Exit | None:
        """Look whether it has ended; so has one that somebody removed."""
        try:
            return self.container.exited()
        except ContainerGone:
            return Exit(137)


def make(engine: Engine, project: Project, place: Place, marks: Mapping[str, str], callers_port: int) -> Container:
    """Make a container, its model in it, or the folder of its many models."""
    request, definition = place.request, place.definition
    own = {MODEL_LABEL: str(place.model or "")}
    own |= {PORT_LABEL: str(callers_port)} if callers_port else {}
    own |= {} if place.alone else {HOST_LABEL: definition.hostname}
    mount = unpacked.mount(project, request) if request.models else _model_mount(engine, place, marks)
    source = definition.source
    container = engine.create(
        ContainerSpec(
            image=definition.image.id,
            command=[hosting.COMMAND],
            name=place.name,
            labels={**marks, **own},
            environment={
                **definition.environment,
                **_variables(place),
                **(source.environment(definition.environment) if source else {}),
            },
            network=request.network,
            ports={**_ports(place, callers_port), **(source.ports if source else {})},
            gpus=request.resources.gpus,
            cpuset=request.resources.cpuset,
            memory=request.serverless << 20 or request.resources.memory,
            user=serverless.user() if request.serverless else "",
            mounts=[mount, *(source.mounts if source else ())],
        )
    )
    if source:
        source.put(container)
    if definition.model and definition.model.is_dir():
        check_mount(container, mount, paths.MODEL)
    if request.models:
        unpacked.check(container, mount)
    return container


def start(place: Place, container: Container, progress: Progress) -> Member:
    """Start a container that was made.

    Raises:
        EndpointFailed: its program is not there or cannot be executed.

    """
    try:
        container.start()
    except CannotStart as error:
        said = f"{error.message}\nSageMaker would say: {hosting.cannot_start()}"
        hint = serverless.remedy(place.request, error.message) or error.hint
        raise EndpointFailed(f"{place.who} cannot start\n{said}", hint=hint) from error
    prefix = "" if place.alone else f"{place.definition.hostname} | "
    return Member(place, container, Follower(container, progress, prefix))


def _variables(place: Place) -> Mapping[str, str]:
    """What SageMaker adds, and nobody can say otherwise."""
    if place.alone:
        return multi_model.ENVIRONMENT if place.request.models else {}
    return hosting.bind_variables(place.index)


def _ports(place: Place, callers_port: int) -> dict[int, int]:
    if place.request.network_isolation:  # an engine publishes no port of what is on an internal network
        return {}
    if place.alone:
        return {hosting.PORT: 0 if callers_port else place.request.port}
    # 8080 as well: who listens there, and not where it was told to, is seen (H-30).
    return {place.port: 0, hosting.PORT: 0}


def _model_mount(engine: Engine, place: Place, marks: Mapping[str, str]) -> Mount:
    """A folder is mounted as it is, an archive unpacked by the engine into a volume (H-03); both read-only (H-04)."""
    model = place.definition.model
    if model and model.is_dir():
        return Mount(paths.MODEL, str(model), read_only=True)
    # An engine mounts no anonymous volume read-only.
    volume = engine.create_volume(place.volume, marks)
    if model is None:
        return Mount(paths.MODEL, volume, read_only=True)
    # A volume that is mounted read-only cannot be filled: a container that never starts holds it open for us.
    filler = engine.create(
        ContainerSpec(
            place.definition.image.id,
            [hosting.COMMAND],
            f"{place.name}_model",  # no hostname has that character
            marks,
            mounts=[Mount(paths.MODEL, volume)],
        )
    )
    try:
        filler.put(paths.MODEL, _chunks(model))
    except MachineError:
        raise
    except ByocError as error:  # only its beginning was looked at before
        raise EndpointFailed(
            f"{model} cannot be unpacked\n{error.message.rpartition(chr(10))[2]}",
            hint="make it anew: tar -czf model.tar.gz -C MODEL .",
        ) from error
    finally:
        filler.remove()
    return Mount(paths.MODEL, volume, read_only=True)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
