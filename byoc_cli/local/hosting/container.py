"""An endpoint's container: made as SageMaker makes it, and waited for until it answers (H-01 to H-12)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path

from byoc_cli import endpoint
from byoc_cli.contract import hosting, multi_model, paths
from byoc_cli.contract.multi_model import MODELS_PATH
from byoc_cli.engine.types import CannotStart, Container, ContainerSpec, Engine, Exit, Mount, NameTaken
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local import labels, reach
from byoc_cli.local.follower import Follower
from byoc_cli.local.hosting import serverless, unpacked
from byoc_cli.local.hosting.request import MODEL_LABEL, MORE_MEMORY, Endpoint, EndpointFailed, EndpointRequest
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.labels import PORT_LABEL
from byoc_cli.local.mounts import check_mount
from byoc_cli.local.output import indented
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project

_LIST_SECONDS = 30.0  # from /ping to /models: nobody waits 8 minutes for what is not there


def start(
    engine: Engine,
    project: Project,
    request: EndpointRequest,
    progress: Progress,
    callers_port: int,
) -> tuple[Container, Follower]:
    """Make and start the container; whatever fails here leaves nothing behind."""
    marks = labels.for_job(project, request.kind, request.name, image=request.reference, detached=request.detached)
    name = f"byoc-{request.name}"
    local = {PORT_LABEL: str(callers_port)} if callers_port else {}
    spec = ContainerSpec(
        image=request.image.id,
        command=[hosting.COMMAND],
        name=name,
        labels=marks | {MODEL_LABEL: str(request.model or request.models or "")} | local,
        environment={**request.environment, **(multi_model.ENVIRONMENT if request.models else {})},
        network=name,
        # An engine publishes no port of what is on an internal network.
        ports={} if request.network_isolation else {hosting.PORT: 0 if callers_port else request.port},
        gpus=request.resources.gpus,
        cpuset=request.resources.cpuset,
        memory=request.serverless << 20 or request.resources.memory,
        user=serverless.user() if request.serverless else "",
    )
    if request.network_isolation and (elsewhere := reach.elsewhere(engine.info())):
        raise _not_reached(elsewhere)
    claimed = False
    try:
        engine.create_network(name, marks, internal=request.network_isolation)
        claimed = True
        mount = unpacked.mount(project, request) if request.models else _model_mount(engine, request, marks)
        container = engine.create(replace(spec, mounts=[mount]))
        if request.model and request.model.is_dir():
            check_mount(container, mount, paths.MODEL)
        if request.models:
            unpacked.check(container, mount)
        container.start()
        if request.network_isolation:
            _check_reach(container.address(name))
    except BaseException as error:
        if claimed or not isinstance(error, NameTaken):  # what has that name already is another's
            labels.remove_job(engine, project, request.name)
        if isinstance(error, CannotStart):
            said = f"{error.message}\nSageMaker would say: {hosting.cannot_start()}"
            hint = serverless.remedy(request, error.message) or error.hint
            raise EndpointFailed(f"the container cannot start\n{said}", hint=hint) from error
        raise
    return container, Follower(container, progress)


def _check_reach(address: str) -> None:
    """See that the way to an isolated container's address leads there; one that has ended already has none."""
    if address and not reach.is_here(address):
        raise _not_reached(f"its networks ({address}) are on another machine, or in a virtual one")


def _not_reached(why: str) -> MachineError:
    return MachineError(
        f"--network-isolation is not possible with this engine\n{why}: an isolated container is reached by its own "
        "address only",
        hint="run byoc on Linux with its own engine (not in a container, not rootless), or leave it out",
    )


def upstream(container: Container, request: EndpointRequest) -> str:
    """Say where the container answers: at a port of this machine, or, isolated, at its own address (H-26)."""
    if address := request.network_isolation and container.address(f"byoc-{request.name}"):
        return f"{ip_interface(address).ip}:{hosting.PORT}"
    own = request.port if request.raw else 0
    return f"127.0.0.1:{own or container.port(hosting.PORT)}"


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


def wait_until_ready(
    container: Container,
    request: EndpointRequest,
    follower: Follower,
    interrupts: Interrupts,
    callers_port: int,
) -> Endpoint:
    """Wait until /ping is 200; a container that dies first is reported at once (H-10, H-11)."""
    base = f"http://{upstream(container, request)}"
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
                raise _died(request, exit_, follower.tail.text)

    try:
        client = endpoint.Client(base)
        seconds = client.wait_until_ready(request.seconds_to_start, alive)
        if request.models:
            # Access logs show that an endpoint of many models whose /models is not 200 passes no health check.
            seconds += client.wait_until_ready(min(_LIST_SECONDS, request.seconds_to_start), alive, MODELS_PATH)
    except EndpointFailed:
        raise
    except ByocError as error:
        tail = follower.tail.text
        raise EndpointFailed(
            error.message + (f"\nits last lines:\n{indented(tail)}" if tail else ""),
            hint=serverless.remedy(request, tail) or error.hint,
        ) from error
    path = hosting.ASYNC_INVOCATIONS_PATH if request.asynchronous else hosting.INVOCATIONS_PATH
    return Endpoint(
        name=request.name,
        container=container.name,
        url=(endpoint.url(callers_port) if callers_port else base) + path,
        model=str(request.model or request.models or ""),
        ready_seconds=round(seconds, 3),
    )


def _died(request: EndpointRequest, exit_: Exit, tail: str) -> EndpointFailed:
    cause = "it ran out of memory" if exit_.out_of_memory else f"exit code {exit_.code}"
    stay = "`serve` has to stay in the foreground and listen on port 8080" if exit_.code == 0 else ""
    last = f"its last lines:\n{indented(tail)}" if tail else "it printed nothing"
    return EndpointFailed(
        f"the container ended before it was ready\n{last}\n{cause}\nSageMaker would say: {hosting.cannot_start()}",
        hint=MORE_MEMORY if exit_.out_of_memory else serverless.remedy(request, tail) or stay,
    )


def remove_rest(engine: Engine, name: str) -> None:
    """Remove what an endpoint has beside its container."""
    engine.remove_network(f"byoc-{name}")
    engine.remove_volume(_model_volume(name))


def _model_volume(name: str) -> str:
    return f"byoc-{name}-model"
