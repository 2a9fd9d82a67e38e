"""`byoc serve --watch`: look whether the model or the image is another one, and put a new container in the place.

Looked at once a second, and not told by the system's file events: those lose a folder or an archive that is replaced
as a whole, see nothing of what comes through the mounts of virtual machines and networks, and miss what happens before
they are asked for.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from byoc_cli.engine.types import Engine
from byoc_cli.errors import ByocError
from byoc_cli.local.hosting.live import Live, until_it_ends
from byoc_cli.local.hosting.request import Definition, EndpointRequest, model_of, model_place
from byoc_cli.local.progress import Progress
from byoc_cli.project import Project

_LOOK_SECONDS = 1.0
_QUIET_SECONDS = 0.5
PATIENCE = 4  # looks that see another model each, before it is said that something is waited for

_File = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class _Part:
    """What a container is made of: the image's id, where the model is, its files."""

    image: str
    model: Path | None
    files: frozenset[_File]

    @staticmethod
    def of(image: str, model: Path | None) -> _Part:
        return _Part(image, model, frozenset(_files(model)))


Sight = tuple[_Part, ...]
"""What an endpoint's containers are made of, as it looked at one moment."""


class ChangedAgain(Exception):
    """What a new container was started for is old by now."""


class Watched(Protocol):
    """What may become another one; looked at every so many seconds, and quiet after so many without a change."""

    every: float
    quiet: float

    @property
    def seen(self) -> object:
        """What is served."""

    def look(self) -> object:
        """See what there is now."""

    def settle(self, pause: Callable[[], None], waiting: Callable[[], None]) -> str:
        """Wait until it changes no more, and take it for what is served; says in words what is another."""

    def renewed(self) -> EndpointRequest:
        """Return the request for it."""


class Watch:
    """What is served and what there is now; made before the first containers, so that nothing is missed.

    `given` is what --model says for each: "" for the last run's, None for no model.
    """

    every = _LOOK_SECONDS
    quiet = _QUIET_SECONDS

    def __init__(self, engine: Engine, project: Project, request: EndpointRequest, given: Sequence[str | None]) -> None:
        self._engine = engine
        self._project = project
        self._given = given
        self.request = request
        self.seen: Sight = tuple(_Part.of(each.image.id, each.model) for each in request.containers)

    def look(self) -> Sight:
        """See what there is now; an image or a last run that is gone counts as the one before."""
        return tuple(map(self._look, self.request.containers, self._given, self.seen))

    def _look(self, definition: Definition, given: str | None, before: _Part) -> _Part:
        image = self._engine.image(definition.reference)
        model = None if given is None else model_place(self._project, given) or before.model
        return _Part.of(image.id if image else before.image, model)

    def settled(self, pause: Callable[[], None], waiting: Callable[[], None]) -> Sight:
        """Wait until two looks, a `pause` between them, see the same; `waiting` is called once where that lasts."""
        before = self.look()
        for looks in itertools.count(1):
            pause()
            now = self.look()
            if now == before:
                break
            before = now
            if looks == PATIENCE:
                waiting()
        return before

    def settle(self, pause: Callable[[], None], waiting: Callable[[], None]) -> str:
        """Wait until it changes no more, and take it for what is served; says in words what is another."""
        return self.accept(self.settled(pause, waiting))

    def accept(self, sight: Sight) -> str:
        """Take it for what is served from now on; says in words what is another, "" where nothing is."""
        changed = []
        for definition, now, before in zip(self.request.containers, sight, self.seen, strict=True):
            whose = "" if len(sight) == 1 else f" of {definition.hostname}"
            changed += [f"image{whose}"] if now.image != before.image else []
            changed += [f"model{whose}"] if (now.model, now.files) != (before.model, before.files) else []
        self.seen = sight
        return " and the ".join(changed)

    def renewed(self) -> EndpointRequest:
        """Return the request for what was seen last.

        Raises:
            UsageError: a model is none, or none yet.

        """
        containers = map(self._renewed, self.request.containers, self._given, self.seen)
        return replace(self.request, containers=list(containers))

    def _renewed(self, definition: Definition, given: str | None, seen: _Part) -> Definition:
        image = self._engine.image(seen.image) or definition.image
        return replace(definition, image=image, model=model_of(self._project, given) if given else seen.model)


def _files(model: Path | None) -> Iterator[_File]:
    """All that changes when a model does; nothing of what is not there."""
    if model is None:
        return
    yield from _file(str(model))
    for folder, folders, names in os.walk(model):
        for name in (*folders, *names):
            yield from _file(f"{folder}/{name}")


def _file(path: str) -> Iterator[_File]:
    with suppress(OSError):  # it has gone just now
        found = os.lstat(path)
        yield path, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


def follow(live: Live, watch: Watched, progress: Progress) -> None:
    """Serve until the container that answers ends; when the model or the image changes another one takes its place.

    Raises:
        EndpointFailed: it ended by itself.

    """
    while not live.ended_within(watch.every):
        if watch.look() != watch.seen:
            _update(live, watch, progress)
    until_it_ends(live.members)


def _update(live: Live, watch: Watched, progress: Progress) -> None:
    changed = watch.settle(
        lambda: live.pause(watch.quiet),
        lambda: progress.log("it is still being written: waiting until nothing of it changes any more"),
    )
    if not changed:
        return
    last_look = 0.0

    def check() -> None:
        nonlocal last_look
        if time.monotonic() - last_look > watch.every:
            last_look = time.monotonic()
            if watch.look() != watch.seen:
                raise ChangedAgain

    try:
        request = watch.renewed()
        progress.log(f"the {changed} changed: starting a new container beside the one that answers")
        live.update(request, check)
    except ChangedAgain:
        progress.log("it changed again: the new container is given up")
    except ByocError as error:
        progress.warn(f"the {changed} changed, and the old container answers as before\n{error.message}", error.hint)
