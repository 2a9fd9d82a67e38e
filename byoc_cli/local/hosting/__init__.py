"""An endpoint on this machine: its containers started as SageMaker starts them, the models read-only (H-01 to H-12)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from byoc_cli.contract import hosting
from byoc_cli.engine.types import Container, Engine, Thing
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local import runs
from byoc_cli.local.background import side_by_side
from byoc_cli.local.gateway import status
from byoc_cli.local.gateway.process import Gateway, Launch, log_file
from byoc_cli.local.hosting import members as together
from byoc_cli.local.hosting import unpacked
from byoc_cli.local.hosting.container import Member
from byoc_cli.local.hosting.live import Live, settings_of, until_it_ends
from byoc_cli.local.hosting.request import (
    KIND,
    MODEL_LABEL,
    TRANSFORM_KIND,
    Definition,
    Endpoint,
    EndpointFailed,
    EndpointRequest,
    check_multi_model,
    model_of,
    models_of,
)
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.labels import HOST_LABEL, PORT_LABEL
from byoc_cli.local.places import S3Door
from byoc_cli.local.ports import check_port
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project

__all__ = [
    "KIND",
    "MODEL_LABEL",
    "TRANSFORM_KIND",
    "Definition",
    "Endpoint",
    "EndpointFailed",
    "EndpointRequest",
    "Live",
    "Member",
    "check_multi_model",
    "containers_of",
    "live",
    "model_of",
    "models_of",
    "port_of",
    "running",
    "serve_detached",
    "serving",
    "state_of",
    "stop",
    "until_it_ends",
]


@contextmanager
def live(
    engine: Engine,
    project: Project,
    request: EndpointRequest,
    progress: Progress,
    s3: S3Door | None = None,
    check: Callable[[], None] = lambda: None,
    *,
    hasty: bool = False,
) -> Iterator[tuple[Endpoint, Live]]:
    """Give an endpoint that is ready, and end it: SIGTERM, 30 s, SIGKILL (H-07).

    `s3` is for an asynchronous one. `check` may raise while the endpoint is waited for; `hasty` is as for
    `Live`.
    """
    with (
        Interrupts(progress.log) as interrupts,
        _held_port(engine, request) as listener,
        unpacked.folder(project, request),
    ):
        one = Live(engine, project, progress, interrupts, listener, s3, hasty=hasty)
        try:
            yield one.begin(request, check), one
        except ByocError:
            interrupts.check()  # what fails because we were told to stop is no failure
            raise
        finally:
            one.end()
        interrupts.check()


@contextmanager
def serving(
    engine: Engine, project: Project, request: EndpointRequest, progress: Progress, s3: S3Door | None = None
) -> Iterator[tuple[Endpoint, Sequence[Member]]]:
    """Give the same to whom the containers that it begins with are enough."""
    with live(engine, project, request, progress, s3) as (ready, one):
        yield ready, one.members


def serve_detached(
    engine: Engine, project: Project, request: EndpointRequest, progress: Progress, launch: Launch
) -> Endpoint:
    """Start an endpoint and leave it running; it is found again through its labels."""
    with (
        Interrupts(progress.log) as interrupts,
        _held_port(engine, request) as listener,
        unpacked.folder(project, request),
    ):
        callers_port = listener.getsockname()[1] if listener else 0
        # Now, so that it is up by the time the container is.
        local = launch(listener, log_file(runs.prepare_home(project), request.name)) if listener else None
        members: list[Member] = []
        try:
            members = together.start(engine, project, request, progress, callers_port)
            if local:
                local.begin(settings_of(project, request, members), [member.container.id for member in members])
            ready = together.wait_until_ready(members, request, interrupts.check, callers_port)
            if local:
                _let_through(local, members)
            interrupts.check()
        except BaseException:
            if local:
                local.end()
            if members:
                together.kill(members)
                together.remove(engine, members)
            raise
    for member in members:
        member.follower.let_go()
    return ready


def _let_through(local: Gateway, members: Sequence[Member]) -> None:
    try:
        local.ready()
    except ByocError:
        together.check_alive(members)  # it ends with the first of them, also with one that was ready for a moment only
        raise


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
            # Until somebody listens others could bind it as well; who calls now waits for the local endpoint.
            listener.listen()
        except OSError as error:  # just now
            raise MachineError(
                f"port {request.port} is taken\n{error.strerror}", hint="choose another one with --port"
            ) from error
        yield listener


def running(engine: Engine, project: Project) -> list[Thing]:
    """Return the project's running endpoints, the newest first: of each its first container."""
    found = [
        thing
        for thing in engine.things(project=project.id)
        if thing.type == "container" and thing.kind == KIND and port_of(thing)
    ]
    oldest = {thing.job: thing for thing in sorted(found, key=lambda thing: thing.created, reverse=True)}
    return sorted(oldest.values(), key=lambda thing: thing.created, reverse=True)


def containers_of(engine: Engine, endpoint: Thing) -> dict[str, Container]:
    """Return the containers of an endpoint, of which `endpoint` is one, by their hostnames ("" of an only one)."""
    things = [thing for thing in engine.things(project=endpoint.project) if thing.type == "container"]
    found = [thing for thing in things if thing.job == endpoint.job and thing.running]
    # An engine lists the newest first, and may know only the second in which each was made.
    found.reverse()
    found.sort(key=lambda thing: thing.created)
    return {thing.labels.get(HOST_LABEL, ""): engine.container(thing.id) for thing in found}


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


def stop(engine: Engine, project: Project, things: Sequence[Thing]) -> None:
    """Stop an endpoint's running containers as SageMaker would, and remove what belongs to it."""
    containers = [engine.container(thing.id) for thing in things]
    stops = [partial(container.stop, hosting.STOP_GRACE_SECONDS) for container in containers]
    side_by_side(*stops, abandon=lambda: None)
    for container in containers:
        container.remove()
    # A local endpoint that was killed holds no port; another's, on a port that it left, goes on.
    first = things[0]
    if (port := int(first.labels.get(PORT_LABEL, 0))) and status.word(port, first.job):
        status.wait_until_gone(port)
    if first.job:
        unpacked.remove(unpacked.place_of(project, first.job))  # a local endpoint that was killed did not
    for rest in engine.things(project=first.project):  # containers that ended before, a network, volumes
        if rest.job == first.job:
            engine.remove(rest)
