"""An endpoint on this machine: the container started as SageMaker starts it, the model read-only (H-01 to H-12)."""

from __future__ import annotations

import socket
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from byoc_cli import endpoint
from byoc_cli.contract import hosting, paths
from byoc_cli.engine.types import CannotStart, Container, ContainerSpec, Engine, Image, Mount, NameTaken, Thing
from byoc_cli.errors import ByocError, MachineError, UsageError
from byoc_cli.local import labels, runs
from byoc_cli.local.follower import Follower
from byoc_cli.local.gateway import status
from byoc_cli.local.gateway.process import Gateway, Launch, log_file
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.labels import PORT_LABEL
from byoc_cli.local.mounts import check_mount
from byoc_cli.local.output import indented
from byoc_cli.local.ports import check_port
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project

KIND = "endpoint"
MODEL_LABEL = "byoc.model"


@dataclass(frozen=True)
class EndpointRequest:
    """What CreateEndpoint would be told; `model` is a folder or a model.tar.gz, None for an empty /opt/ml/model.

    `port` is 0 for a free one; `raw` puts no local endpoint before the container; `capture` is a file for H-70.
    """

    name: str
    image: Image
    reference: str
    model: Path | None
    port: int = hosting.PORT
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: str = "none"
    startup_timeout: float = hosting.STARTUP_TIMEOUT_SECONDS
    detached: bool = False
    raw: bool = False
    capture: Path | None = None
    region: str = "us-east-1"


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that answers; `url` is where /invocations is."""

    name: str
    container: str
    url: str
    model: str
    ready_seconds: float = 0.0


class EndpointFailed(ByocError):
    """The container died, or never answered /ping."""


def model_of(project: Project, given: str) -> Path | None:
    """Return the model to serve: the one given, else the last completed run's; None where there is none.

    Raises:
        UsageError: the one given is neither a folder nor a gzip-compressed tar (H-03).

    """
    if not given:
        run = runs.latest(project)
        return run.model.resolve() if run and run.model.is_dir() else None
    path = Path(given).expanduser().resolve()
    if path.is_dir():
        return path
    if not path.is_file():
        raise UsageError(
            f"there is no model at '{given}'",
            hint="--model takes a folder, a model.tar.gz, or nothing (the last run's)",
        )
    try:
        with tarfile.open(path, "r:gz") as tar:
            tar.next()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(
            f"'{given}' is not a gzip-compressed tar\n{error}", hint="make it with: tar -czf model.tar.gz -C MODEL ."
        ) from error
    return path


@contextmanager
def serving(
    engine: Engine, project: Project, request: EndpointRequest, progress: Progress
) -> Iterator[tuple[Endpoint, Container]]:
    """Give an endpoint that is ready, and end it: SIGTERM, 30 s, SIGKILL (H-07)."""
    with Interrupts(progress.log) as interrupts, _held_port(engine, request) as listener:
        callers_port = listener.getsockname()[1] if listener else 0
        container, follower = _start(engine, project, request, progress, callers_port)
        local: Gateway | None = None
        answered = False
        try:
            if listener:
                from byoc_cli.local.gateway.thread import ThreadGateway  # late: aiohttp takes a while to be imported

                local = ThreadGateway(listener, progress)
                local.begin(_settings(request, container), container.id)
            ready = _wait(container, request, follower, interrupts, callers_port)
            if local:
                local.ready()
            interrupts.on_signal(lambda: _stop(container, progress, local), container.kill)
            interrupts.check()
            answered = True
            yield ready, container
        except ByocError:
            interrupts.check()  # what fails because we were told to stop is no failure
            raise
        finally:
            if not answered:
                container.kill()  # it has nothing to finish, and may not heed SIGTERM yet
            elif container.exited() is None:
                if not interrupts.signal:
                    _stop(container, progress, local)
                container.wait()
            if local:
                local.end()
            follower.join()
            container.remove()
            _remove_rest(engine, request.name)
        interrupts.check()


def serve_detached(
    engine: Engine, project: Project, request: EndpointRequest, progress: Progress, launch: Launch
) -> Endpoint:
    """Start an endpoint and leave it running; it is found again through its labels."""
    with Interrupts(progress.log) as interrupts, _held_port(engine, request) as listener:
        callers_port = listener.getsockname()[1] if listener else 0
        # Now, so that it is up by the time the container is.
        local = launch(listener, log_file(runs.prepare_home(project), request.name)) if listener else None
        container: Container | None = None
        try:
            container, follower = _start(engine, project, request, progress, callers_port)
            if local:
                local.begin(_settings(request, container), container.id)
            ready = _wait(container, request, follower, interrupts, callers_port)
            if local:
                local.ready()
        except BaseException:
            if local:
                local.end()
            if container:
                container.remove()
                _remove_rest(engine, request.name)
            raise
    follower.let_go()
    return ready


@contextmanager
def _held_port(engine: Engine, request: EndpointRequest) -> Iterator[socket.socket | None]:
    """Bind the local endpoint's port before anything is made, so that its label is true; None with `raw`."""
    if request.port:
        check_port(engine, request.port)
    if request.raw:
        yield None
        return
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", request.port))
        except OSError as error:  # just now
            raise MachineError(
                f"port {request.port} is taken\n{error.strerror}", hint="choose another one with --port"
            ) from error
        yield listener


def _settings(request: EndpointRequest, container: Container) -> Settings:
    return Settings(
        name=request.name,
        upstream=container.port(hosting.PORT),
        capture=str(request.capture or ""),
        region=request.region,
    )


def until_it_ends(container: Container) -> None:
    """Wait in the foreground; the container's own end is a failure, unless somebody asked for it.

    Raises:
        EndpointFailed: it ended by itself.

    """
    exit_ = container.wait()
    if not container.was_signalled():
        time.sleep(0.3)  # a busy engine writes a signal down after the end that it brought about
    if not container.was_signalled():
        raise EndpointFailed(
            f"the container ended by itself, with exit code {exit_.code}\nan endpoint runs until it is stopped"
        )


def running(engine: Engine, project: Project) -> list[Thing]:
    """Return the project's running endpoints, the newest first."""
    found = [
        thing
        for thing in engine.things(project=project.id)
        if thing.type == "container" and thing.kind == KIND and thing.running and hosting.PORT in thing.ports
    ]
    return sorted(found, key=lambda thing: thing.created, reverse=True)


def port_of(thing: Thing) -> int | None:
    """Return the port on which an endpoint's callers are answered; None for what is no endpoint, or has ended."""
    return int(thing.labels.get(PORT_LABEL, 0)) or thing.ports.get(hosting.PORT) if thing.running else None


def state_of(thing: Thing) -> str:
    """Return what its local endpoint says of a container that runs: starting, running, unhealthy, unreachable."""
    port = thing.labels.get(PORT_LABEL)
    if not port:
        return thing.state
    words = {"Creating": "starting", "InService": thing.state, "Unhealthy": "unhealthy"}
    return words.get(status.word(int(port), thing.job), "unreachable")


def stop(engine: Engine, thing: Thing) -> None:
    """Stop a running container as SageMaker would, and remove what belongs to it."""
    container = engine.container(thing.id)
    container.stop(hosting.STOP_GRACE_SECONDS)
    container.remove()
    # A local endpoint that was killed holds no port; another's, on a port that it left, goes on.
    if (port := int(thing.labels.get(PORT_LABEL, 0))) and status.word(port, thing.job):
        status.wait_until_gone(port)
    _remove_rest(engine, thing.job)


def _remove_rest(engine: Engine, name: str) -> None:
    """Remove what an endpoint has beside its container."""
    engine.remove_network(f"byoc-{name}")
    engine.remove_volume(_model_volume(name))


def _model_volume(name: str) -> str:
    return f"byoc-{name}-model"


def _start(
    engine: Engine,
    project: Project,
    request: EndpointRequest,
    progress: Progress,
    callers_port: int,
) -> tuple[Container, Follower]:
    """Make and start the container; whatever fails here leaves nothing behind."""
    marks = labels.for_job(project, KIND, request.name, image=request.reference, detached=request.detached)
    name = f"byoc-{request.name}"
    local = {PORT_LABEL: str(callers_port)} if callers_port else {}
    spec = ContainerSpec(
        image=request.image.id,
        command=[hosting.COMMAND],
        name=name,
        labels=marks | {MODEL_LABEL: str(request.model or "")} | local,
        environment=request.environment,
        network=name,
        ports={hosting.PORT: 0 if callers_port else request.port},
        gpus=request.gpus,
    )
    claimed = False
    try:
        engine.create_network(name, marks)
        claimed = True
        mount = _model_mount(engine, request, marks)
        container = engine.create(replace(spec, mounts=[mount]))
        if request.model and request.model.is_dir():
            check_mount(container, mount, paths.MODEL)
        container.start()
    except BaseException as error:
        if claimed or not isinstance(error, NameTaken):  # what has that name already is another's
            labels.remove_job(engine, project, request.name)
        if isinstance(error, CannotStart):
            said = f"{error.message}\nSageMaker would say: {hosting.cannot_start()}"
            raise EndpointFailed(f"the container cannot start\n{said}", hint=error.hint) from error
        raise
    return container, Follower(container, progress)


def _model_mount(engine: Engine, request: EndpointRequest, marks: Mapping[str, str]) -> Mount:
    """A folder is mounted as it is, an archive unpacked by the engine into a volume (H-03); both read-only (H-04)."""
    if request.model and request.model.is_dir():
        return Mount(paths.MODEL, str(request.model), read_only=True)
    # An engine mounts no anonymous volume read-only.
    volume = engine.create_volume(_model_volume(request.name), marks)
    if request.model is None:
        return Mount(paths.MODEL, volume, read_only=True)
    # A volume that is mounted read-only cannot be filled: a container that never starts holds it open for us.
    filler = engine.create(
        ContainerSpec(
            request.image.id,
            [hosting.COMMAND],
            f"byoc-{request.name}-model",
            marks,
            mounts=[Mount(paths.MODEL, volume)],
        )
    )
    try:
        filler.put(paths.MODEL, _chunks(request.model))
    except MachineError:
        raise
    except ByocError as error:  # only its beginning was looked at before
        raise EndpointFailed(
            f"{request.model} cannot be unpacked\n{error.message.rpartition(chr(10))[2]}",
            hint="make it anew: tar -czf model.tar.gz -C MODEL .",
        ) from error
    finally:
        filler.remove()
    return Mount(paths.MODEL, volume, read_only=True)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _wait(
    container: Container,
    request: EndpointRequest,
    follower: Follower,
    interrupts: Interrupts,
    callers_port: int,
) -> Endpoint:
    """Wait until /ping is 200; a container that dies first is reported at once (H-10, H-11)."""
    own = request.port if request.raw else 0
    port = own or container.port(hosting.PORT)
    last_look = 0.0

    def alive() -> None:
        nonlocal last_look
        interrupts.check()
        # The output ends when the container does: no need to ask the engine at each ping, but once a second.
        if follower.ended or time.monotonic() - last_look > 1:
            last_look = time.monotonic()
            exit_ = container.exited()
            if exit_ is not None:
                follower.join()
                raise _died(exit_.code, exit_.out_of_memory, follower.tail.text)

    try:
        seconds = endpoint.Client(endpoint.url(port)).wait_until_ready(request.startup_timeout, alive)
    except EndpointFailed:
        raise
    except ByocError as error:
        tail = follower.tail.text
        raise EndpointFailed(
            error.message + (f"\nits last lines:\n{indented(tail)}" if tail else ""), hint=error.hint
        ) from error
    return Endpoint(
        name=request.name,
        container=container.name,
        url=endpoint.url(callers_port or port) + hosting.INVOCATIONS_PATH,
        model=str(request.model or ""),
        ready_seconds=round(seconds, 3),
    )


def _died(code: int, out_of_memory: bool, tail: str) -> EndpointFailed:
    cause = "it ran out of memory" if out_of_memory else f"exit code {code}"
    last = f"its last lines:\n{indented(tail)}" if tail else "it printed nothing"
    return EndpointFailed(
        f"the container ended before it was ready\n{last}\n{cause}\nSageMaker would say: {hosting.cannot_start()}",
        hint="`serve` has to stay in the foreground and listen on port 8080" if code == 0 else "",
    )


def _stop(container: Container, progress: Progress, local: Gateway | None) -> None:
    if local:
        local.ending()
    progress.log(f"stopping the endpoint: SIGTERM, up to {hosting.STOP_GRACE_SECONDS} s")
    container.stop(hosting.STOP_GRACE_SECONDS)
