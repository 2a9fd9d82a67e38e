"""An endpoint in the foreground: the container that answers and, while it is updated, the one beside it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING

from byoc_cli.contract import hosting
from byoc_cli.engine.types import Engine
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.hosting import members as together
from byoc_cli.local.hosting import unpacked
from byoc_cli.local.hosting.container import Member
from byoc_cli.local.hosting.request import MORE_MEMORY, Endpoint, EndpointFailed, EndpointRequest
from byoc_cli.local.interrupts import Interrupts
from byoc_cli.local.places import S3Door
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project

if TYPE_CHECKING:
    from byoc_cli.local.gateway.thread import ThreadGateway

_LOOK_SECONDS = 0.1


class _Served:
    """Containers that belong together; `told` when they have got their SIGTERM, which nobody is to get twice."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self.told = False


class Live:
    """Started by `begin`, and ended by `end` whatever happened in between.

    `hasty` kills a container that another one has taken over from, when it has given its last answer: one that does not
    heed SIGTERM would hold up the next update for 30 s.
    """

    def __init__(
        self,
        engine: Engine,
        project: Project,
        progress: Progress,
        interrupts: Interrupts,
        listener: socket.socket | None,
        s3: S3Door | None = None,
        *,
        hasty: bool = False,
    ) -> None:
        self._engine = engine
        self._project = project
        self._progress = progress
        self._interrupts = interrupts
        self._listener = listener
        self._s3 = s3
        self._hasty = hasty
        self._port = int(listener.getsockname()[1]) if listener else 0
        self._local: ThreadGateway | None = None
        self._all: list[_Served] = []  # all that are there; the one that answers is `_current`
        self._current: _Served | None = None
        self._updates = 0
        self._telling = threading.Lock()

    @property
    def members(self) -> Sequence[Member]:
        """Those that answer."""
        assert self._current
        return self._current.members

    def begin(self, request: EndpointRequest, check: Callable[[], None] = lambda: None) -> Endpoint:
        """Start the first container, and the local endpoint; returns when it answers. `check` may raise until then."""

        def look() -> None:
            self._interrupts.check()
            check()

        first = self._start(request)
        if self._listener:
            from byoc_cli.local.gateway.thread import ThreadGateway  # late: aiohttp takes a while to be imported

            self._local = ThreadGateway(self._listener, self._progress, self._s3)
            self._local.begin(
                settings_of(self._project, request, first.members), [each.container.id for each in first.members]
            )
        ready = together.wait_until_ready(first.members, request, look, self._port)
        if self._local:
            self._local.ready()
        self._current = first
        self._interrupts.on_signal(self._stop, self._kill)
        self._interrupts.check()
        return ready

    def update(self, request: EndpointRequest, check: Callable[[], None]) -> Endpoint:
        """Put another container in the place of the one that answers, as UpdateEndpoint does.

        It is started beside it, and callers go to it when it is ready; the one before gives the answers that it has
        begun, and is stopped. `check` may raise while the new one is waited for.

        Raises:
            ByocError: the new one does not become ready. It is gone, and the one before answers as it did.

        """
        assert self._local
        self._updates += 1
        request = replace(request, update=self._updates)
        new = self._start(request)

        def look() -> None:
            self._interrupts.check()
            check()

        try:
            ready = together.wait_until_ready(new.members, request, look, self._port)
            look()
        except BaseException:
            together.kill(new.members)  # it has nothing to finish, and may not heed SIGTERM yet
            self._remove(new)
            raise
        old, self._current = self._current, new
        answered = self._local.move([each.address for each in new.members])
        assert old
        self._progress.log(f"the new container answers from now on, ready after {ready.ready_seconds:.2f} s")
        self._retire(old, answered)
        self._interrupts.check()
        return ready

    def ended_within(self, seconds: float) -> bool:
        """Wait at most so long for the end of the container that answers."""
        first, *others = self.members
        return first.follower.ended_within(seconds) or any(each.follower.ended for each in others)

    def pause(self, seconds: float) -> None:
        """Let time pass, while nobody wants an end."""
        time.sleep(seconds)
        self._interrupts.check()

    def end(self) -> None:
        """End what is there: SIGTERM, 30 s, SIGKILL (H-07); and remove it."""
        for served in self._all:
            if served is not self._current:
                together.kill(served.members)
        if self._current and not all(each.exited() for each in self._current.members):
            self._stop()
            together.wait_for_all(self._current.members)
        if self._local:
            self._local.end()
        for served in list(self._all):
            self._remove(served)

    def _start(self, request: EndpointRequest) -> _Served:
        served = _Served(together.start(self._engine, self._project, request, self._progress, self._port))
        self._all.append(served)
        return served

    def _retire(self, old: _Served, answered: Future[None]) -> None:
        if wait([answered], 1).not_done:
            self._progress.log("the old one has begun answers, and ends with the last of them")
        while not answered.done() and not self._interrupts.signal:
            wait([answered], _LOOK_SECONDS)
        if self._hasty:
            together.kill(old.members)
        else:
            self._tell(old, "stopping the old container")
        together.wait_for_all(old.members)  # a signal's thread may have told it
        self._remove(old)

    def _remove(self, served: _Served) -> None:
        together.remove(self._engine, served.members)
        self._all.remove(served)

    def _stop(self) -> None:
        if self._local:
            self._local.ending()
        if self._current:
            self._tell(self._current, "stopping the endpoint")

    def _tell(self, served: _Served, what: str) -> None:
        with self._telling:
            if served.told:
                return
            served.told = True
        self._progress.log(f"{what}: SIGTERM, up to {hosting.STOP_GRACE_SECONDS} s")
        together.stop_rest(served.members)

    def _kill(self) -> None:
        for served in list(self._all):
            together.kill(served.members)


def settings_of(project: Project, request: EndpointRequest, members: Sequence[Member]) -> Settings:
    """Return what a local endpoint before containers has to know."""
    return Settings(
        name=request.name,
        upstreams=tuple(member.address for member in members),
        hostnames=tuple(member.hostname for member in members),
        direct=request.direct,
        max_payload=request.max_payload,
        capture=str(request.capture or ""),
        region=request.region,
        asynchronous=request.asynchronous,
        models=str(request.models or ""),
        unpacked=str(unpacked.place_of(project, request.name)) if request.models else "",
    )


def until_it_ends(members: Sequence[Member]) -> None:
    """Wait in the foreground; a container's own end is a failure, unless somebody asked for it.

    Raises:
        EndpointFailed: one ended by itself.

    """
    member, exit_ = together.first_to_end(members)
    if not member.container.was_signalled():
        time.sleep(0.3)  # a busy engine writes a signal down after the end that it brought about
    if not member.container.was_signalled():
        memory = "it ran out of memory\n" if exit_.out_of_memory else ""
        raise EndpointFailed(
            f"{member.who} ended by itself, with exit code {exit_.code}\n{memory}an endpoint runs until it is stopped",
            hint=MORE_MEMORY if exit_.out_of_memory else "",
        )
