"""An endpoint whose source is edited: each change is served by a new container; what is broken waits for the next."""

from __future__ import annotations

import time
from collections.abc import Callable

from byoc_cli.engine.types import Engine
from byoc_cli.local.dev.events import Events
from byoc_cli.local.dev.source import Source
from byoc_cli.local.dev.watching import SourceWatch
from byoc_cli.local.hosting import Endpoint, EndpointFailed, EndpointRequest, Live, live, until_it_ends
from byoc_cli.local.hosting import members as together
from byoc_cli.local.hosting.watching import ChangedAgain, Watch, follow
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project

_WAIT_SECONDS = 0.2


def serve(
    engine: Engine,
    project: Project,
    request: EndpointRequest,
    given: str | None,
    source: Source,
    progress: Progress,
    ready: Callable[[Endpoint], None],
) -> None:
    """Serve until somebody stops it; `ready` is told of each endpoint that answers, `given` is as for a `Watch`.

    A new container is started beside the one that answers. With a debugger, whose port only one can have, that one is
    ended first, and at once: what stands at a breakpoint heeds no signal.

    Raises:
        MachineError: the engine, the port.
        Interrupted: Ctrl-C, SIGTERM.

    """
    with Events() as events:
        watch = SourceWatch(Watch(engine, project, request, [given]), source, events, progress)

        def check() -> None:
            if watch.look() != watch.seen:
                raise ChangedAgain

        while True:
            try:
                with live(engine, project, request, progress, check=check, hasty=True) as (endpoint, one):
                    ready(endpoint)
                    if not source.debugger:
                        follow(one, watch, progress)
                        return
                    if not _changed(one, watch, progress):
                        return
            except ChangedAgain:
                _settled(watch, progress)
            except EndpointFailed as error:
                progress.warn(f"{error.message}\nwaiting for the next change", error.hint)
                while not _settled(watch, progress):
                    events.wait(_WAIT_SECONDS)
            request = watch.renewed()


def _settled(watch: SourceWatch, progress: Progress) -> bool:
    """Take what is another one now for what is served; says whether anything is."""
    if watch.look() == watch.seen:
        return False
    changed = watch.settle(lambda: time.sleep(watch.quiet), lambda: None)
    if changed:
        progress.log(f"the {changed} changed: starting a new container")
    return bool(changed)


def _changed(one: Live, watch: SourceWatch, progress: Progress) -> bool:
    """Serve until something changes, and end it; says whether it was that."""
    while not one.ended_within(watch.every):
        if watch.look() == watch.seen:
            continue
        changed = watch.settle(lambda: one.pause(watch.quiet), lambda: None)
        if changed:
            progress.log(f"the {changed} changed: starting a new container, the debugger has to attach again")
            together.kill(one.members)
            return True
    until_it_ends(one.members)
    return False
