"""The containers of an endpoint: started together, waited for, ended together (H-07, H-10, H-11, H-32)."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from byoc_cli import endpoint
from byoc_cli.contract import hosting
from byoc_cli.contract.multi_model import MODELS_PATH
from byoc_cli.engine.types import ContainerGone, Engine, Exit, NameTaken
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local import labels, reach
from byoc_cli.local.background import side_by_side
from byoc_cli.local.hosting import container, serverless
from byoc_cli.local.hosting.container import Member, Place
from byoc_cli.local.hosting.request import MORE_MEMORY, Endpoint, EndpointFailed, EndpointRequest
from byoc_cli.local.output import indented
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project

_LOOK_SECONDS = 1.0  # how often the engine is asked whether a container that does not answer lives
_POLL_SECONDS = 0.1
_LIST_SECONDS = 30.0  # from /ping to /models: nobody waits 8 minutes for what is not there


def start(
    engine: Engine, project: Project, request: EndpointRequest, progress: Progress, callers_port: int
) -> list[Member]:
    """Make all containers, then start them; whatever fails here leaves nothing behind."""
    if request.network_isolation and (elsewhere := reach.elsewhere(engine.info())):
        raise _not_reached(elsewhere)
    places = [Place(request, index) for index in range(len(request.containers))]
    members: list[Member] = []
    claimed = False
    try:
        engine.create_network(request.network, _marks(project, request), internal=request.network_isolation)
        claimed = True
        made = [
            container.make(engine, project, place, _marks(project, request, place.definition.reference), callers_port)
            for place in places
        ]
        for place, each in zip(places, made, strict=True):
            members.append(container.start(place, each, progress))
        if request.network_isolation:
            _check_reach(members[0].container.address(request.network))
    except BaseException as error:
        if claimed or not isinstance(error, NameTaken):  # what has that name already is another's
            _remove_made(engine, project, request)
        for member in members:
            member.follower.join()
        raise
    return members


def _remove_made(engine: Engine, project: Project, request: EndpointRequest) -> None:
    """Remove what was being made; those that it was to take over from have other names."""
    for thing in engine.things(project=project.id):
        if thing.job == request.name and (
            thing.name == request.network or thing.name.startswith(f"{request.network}-")
        ):
            engine.remove(thing)


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


def _marks(project: Project, request: EndpointRequest, image: str = "") -> dict[str, str]:
    return labels.for_job(project, request.kind, request.name, image=image, detached=request.detached)


def wait_until_ready(
    members: Sequence[Member], request: EndpointRequest, check: Callable[[], None], callers_port: int
) -> Endpoint:
    """Wait until every /ping is 200; a container that dies first is reported at once (H-10, H-11).

    `check` is called all the time, and raises when there is nothing to wait for any more.
    """
    begin = looked = time.monotonic()

    def alive(waited_for: Member, client: endpoint.Client) -> None:
        nonlocal looked
        check()
        # The output ends when the container does: no need to ask the engine at each ping, but once a second.
        look = time.monotonic() - looked > _LOOK_SECONDS
        check_alive(members if look else [member for member in members if member.follower.ended])
        if look:
            looked = time.monotonic()
            _check_port(waited_for, client)

    for member in members:
        client = endpoint.Client(f"http://{member.address}")
        elsewhere = endpoint.Client(f"http://{member.at(hosting.PORT)}")
        try:
            client.wait_until_ready(
                request.seconds_to_start,
                partial(alive, member, elsewhere),
                since=begin,
                hostname=member.hostname,
            )
            if request.models:
                # Access logs show that an endpoint of many models whose /models is not 200 passes no health check.
                client.wait_until_ready(
                    min(_LIST_SECONDS, request.seconds_to_start), partial(alive, member, elsewhere), MODELS_PATH
                )
        except EndpointFailed:
            raise
        except ByocError as error:
            tail = member.follower.tail.text
            raise EndpointFailed(
                error.message + (f"\nits last lines:\n{indented(tail)}" if tail else ""),
                hint=serverless.remedy(request, tail) or error.hint,
            ) from error
    first = members[0].container
    base = endpoint.url(callers_port) if callers_port else f"http://{members[0].address}"
    containers = [
        {
            "hostname": member.hostname,
            "container": member.container.name,
            "image": member.place.definition.reference,
            "model": str(member.place.model or ""),
        }
        for member in members
    ]
    return Endpoint(
        name=request.name,
        container=first.name,
        url=base + (hosting.ASYNC_INVOCATIONS_PATH if request.asynchronous else hosting.INVOCATIONS_PATH),
        model=containers[0]["model"],
        ready_seconds=round(time.monotonic() - begin, 3),
        containers=containers,
    )


def check_alive(members: Sequence[Member]) -> None:
    """See that none has ended.

    Raises:
        EndpointFailed: one has.

    """
    for member in members:
        if exit_ := member.exited():
            member.follower.join()
            raise _died(member, exit_)


def _check_port(member: Member, elsewhere: endpoint.Client) -> None:
    """See that one of several does not listen on 8080 instead of the port that it was given (H-30)."""
    if member.place.alone or elsewhere.ping()[0] != 200:
        return
    raise EndpointFailed(
        f"{member.who} answers /ping on port {hosting.PORT}, and not on {member.place.port}\n"
        f"with several containers each has to listen on the port in {hosting.BIND_TO_PORT} (H-30)\n"
        f"SageMaker would say: {hosting.ping_failed(member.hostname)}",
        hint=f"listen on 0.0.0.0:${hosting.BIND_TO_PORT} where that is set, and on {hosting.PORT} where it is not",
    )


def _died(member: Member, exit_: Exit) -> EndpointFailed:
    cause = "it ran out of memory" if exit_.out_of_memory else f"exit code {exit_.code}"
    tail = member.follower.tail.text
    last = f"its last lines:\n{indented(tail)}" if tail else "it printed nothing"
    where = f"port {hosting.PORT}" if member.place.alone else f"the port in {hosting.BIND_TO_PORT}"
    stay = f"`serve` has to stay in the foreground and listen on {where}" if exit_.code == 0 else ""
    return EndpointFailed(
        f"{member.who} ended before it was ready\n{last}\n{cause}\nSageMaker would say: {hosting.cannot_start()}",
        hint=MORE_MEMORY if exit_.out_of_memory else serverless.remedy(member.place.request, tail) or stay,
    )


def first_to_end(members: Sequence[Member]) -> tuple[Member, Exit]:
    """Wait until one of them has ended."""
    ended: queue.Queue[tuple[Member, Exit | ByocError]] = queue.Queue()

    def wait(member: Member) -> None:
        try:
            ended.put((member, member.container.wait()))
        except ByocError as error:
            ended.put((member, error))

    for each in members:
        threading.Thread(target=wait, args=(each,), daemon=True).start()
    member, exit_ = ended.get()
    if isinstance(exit_, ByocError):
        raise exit_
    return member, exit_


def stop(members: Sequence[Member]) -> None:
    """Send SIGTERM to all that run, and SIGKILL after 30 s (H-07)."""
    side_by_side(
        *(partial(member.container.stop, hosting.STOP_GRACE_SECONDS) for member in members if not member.exited()),
        abandon=partial(kill, members),
    )


def stop_rest(members: Sequence[Member]) -> None:
    """Stop what the end of one has left; what somebody is stopping already (`byoc stop`) has its time for that."""
    deadline = time.monotonic() + hosting.STOP_GRACE_SECONDS
    for member in members if any(member.exited() for member in members) else ():
        while not member.exited() and member.container.was_signalled() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    stop(members)


def kill(members: Sequence[Member]) -> None:
    """Send SIGKILL to all."""
    for member in members:
        member.container.kill()


def remove(engine: Engine, members: Sequence[Member]) -> None:
    """Remove all that the endpoint has in the engine; its containers have ended."""
    for member in members:
        member.follower.join()
        member.container.remove()
        engine.remove_volume(member.place.volume)
    engine.remove_network(members[0].place.request.network)


def wait_for_all(members: Sequence[Member]) -> None:
    """Wait until all have ended."""
    for member in members:
        with suppress(ContainerGone):
            member.container.wait()
