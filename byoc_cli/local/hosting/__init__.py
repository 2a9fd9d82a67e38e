"""An endpoint on this machine: the container started as SageMaker starts it, the model read-only (H-01 to H-12)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from byoc_cli.contract import hosting
from byoc_cli.engine.types import Container, Engine, Thing
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local import runs
from byoc_cli.local.gateway import status
from byoc_cli.local.gateway.process import Gateway, Launch, log_file
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.hosting import unpacked
from byoc_cli.local.hosting.container import remove_rest, start, upstream, wait_until_ready
from byoc_cli.local.hosting.request import (
    KIND,
    MODEL_LABEL,
    MORE_MEMORY,
    TRANSFORM_KIND,
    Endpoint,
    EndpointFailed,
    EndpointRequest,
    check_multi_model,
    model_of,
    models_of,
)
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.labels import PORT_LABEL
from byoc_cli.local.places import S3Door
from byoc_cli.local.ports import check_port
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project

__all__ = [
    "KIND",
    "MODEL_LABEL",
    "TRANSFORM_KIND",
    "Endpoint",
    "EndpointFailed",
    "EndpointRequest",
    "check_multi_model",
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
def serving(
    engine: Engine, project: Project, request: EndpointRequest, progress: Progress, s3: S3Door | None = None
) -> Iterator[tuple[Endpoint, Container]]:
    """Give an endpoint that is ready, and end it: SIGTERM, 30 s, SIGKILL (H-07).

    `s3` is for an asynchronous one.
    """
    with (
        Interrupts(progress.log) as interrupts,
        _held_port(engine, request) as listener,
        unpacked.folder(project, request),
    ):
        callers_port = listener.getsockname()[1] if listener else 0
        container, follower = start(engine, project, request, progress, callers_port)
        local: Gateway | None = None
        answered = False
        try:
            if listener:
                from byoc_cli.local.gateway.thread import ThreadGateway  # late: aiohttp takes a while to be imported

                local = ThreadGateway(listener, progress, s3)
                local.begin(_settings(project, request, container), container.id)
            ready = wait_until_ready(container, request, follower, interrupts, callers_port)
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
            remove_rest(engine, request.name)
        interrupts.check()


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
        container: Container | None = None
        try:
            container, follower = start(engine, project, request, progress, callers_port)
            if local:
                local.begin(_settings(project, request, container), container.id)
            ready = wait_until_ready(container, request, follower, interrupts, callers_port)
            if local:
                local.ready()
        except BaseException:
            if local:
                local.end()
            if container:
                container.remove()
                remove_rest(engine, request.name)
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


def _settings(project: Project, request: EndpointRequest, container: Container) -> Settings:
    return Settings(
        name=request.name,
        upstream=upstream(container, request),
        max_payload=request.max_payload,
        capture=str(request.capture or ""),
        region=request.region,
        asynchronous=request.asynchronous,
        models=str(request.models or ""),
        unpacked=str(unpacked.place_of(project, request.name)) if request.models else "",
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
        memory = "it ran out of memory\n" if exit_.out_of_memory else ""
        raise EndpointFailed(
            f"the container ended by itself, with exit code {exit_.code}\n{memory}an endpoint runs until it is stopped",
            hint=MORE_MEMORY if exit_.out_of_memory else "",
        )


def running(engine: Engine, project: Project) -> list[Thing]:
    """Return the project's running endpoints, the newest first."""
    found = [
        thing
        for thing in engine.things(project=project.id)
        if thing.type == "container" and thing.kind == KIND and port_of(thing)
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


def stop(engine: Engine, project: Project, thing: Thing) -> None:
    """Stop a running container as SageMaker would, and remove what belongs to it."""
    container = engine.container(thing.id)
    container.stop(hosting.STOP_GRACE_SECONDS)
    container.remove()
    # A local endpoint that was killed holds no port; another's, on a port that it left, goes on.
    if (port := int(thing.labels.get(PORT_LABEL, 0))) and status.word(port, thing.job):
        status.wait_until_gone(port)
    if thing.job:
        unpacked.remove(unpacked.place_of(project, thing.job))  # a local endpoint that was killed did not
    remove_rest(engine, thing.job)


def _stop(container: Container, progress: Progress, local: Gateway | None) -> None:
    if local:
        local.ending()
    progress.log(f"stopping the endpoint: SIGTERM, up to {hosting.STOP_GRACE_SECONDS} s")
    container.stop(hosting.STOP_GRACE_SECONDS)
