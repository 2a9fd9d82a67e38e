"""What `byoc dev serve` looks at: the source, and as `byoc serve --watch` the image and the model."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from byoc_cli.errors import ByocError, some
from byoc_cli.local.dev.events import Events
from byoc_cli.local.dev.source import Sight, Source
from byoc_cli.local.hosting.request import EndpointRequest
from byoc_cli.local.hosting.watching import PATIENCE, Watch
from byoc_cli.local.hosting.watching import Sight as Served
from byoc_cli.local.progress import Progress


class SourceWatch:
    """A `Watched` that is looked at when an event says so, and else once a second."""

    every = 0.05
    quiet = 0.05

    def __init__(self, watch: Watch, source: Source, events: Events, progress: Progress) -> None:
        self._watch = watch
        self._source = source
        self._events = events
        self._progress = progress
        self.seen: tuple[Served, Sight] = (watch.seen, source.seen)
        self._last = self.seen
        self._events.watch(_paths(source.seen))

    def look(self) -> tuple[Served, Sight]:
        """See what there is now, if it is time for that; else what was seen last."""
        return self._look() if self._events.due() else self._last

    def _look(self) -> tuple[Served, Sight]:
        start = time.monotonic()
        self._last = (self._watch.look(), self._source.look())
        self._events.watch(_paths(self._source.seen))
        self._events.looked(time.monotonic() - start)
        return self._last

    def settle(self, pause: Callable[[], None], waiting: Callable[[], None]) -> str:
        """Wait until it changes no more, and take it for what is served; says in words what is another."""
        before = self._last
        for looks in itertools.count(1):
            pause()
            if (now := self._look()) == before:
                break
            before = now
            if looks == PATIENCE * 10:
                waiting()
        old, self.seen = self.seen, before
        words = self._watch.accept(before[0])
        changed = self._changed(old[1], before[1])
        if self._another_image(before[0][0].image):
            self.seen = self._look()
        return " and the ".join(part for part in (changed, words) if part)

    def _another_image(self, id_: str) -> bool:
        source = self._source
        if id_ == source.image.id or not (image := source.engine.image(id_)):
            return False
        try:
            source.use(image)
        except ByocError:  # it is half written: its end is a change, too
            return False
        return True

    def _changed(self, old: Sight, new: Sight) -> str:
        """Say which files a container is to see; warn of what only a build does."""
        source = self._source
        used = source.placement.used
        for name in sorted(source.names(old.build ^ new.build)):
            what = f"is used by {used[name].step}" if name in used else "says how the image is built"
            self._progress.warn(f"{name} {what}: its change needs a new image", "byoc build")
        for name in sorted(source.names(old.files) - source.names(new.files)):
            self._progress.warn(f"{name} is gone here; what the build copied of it is still in the image", "byoc build")
        seen = sorted(
            name for name in source.names(old.files ^ new.files) if not (name in used and used[name].input_only)
        )
        return f"source ({some(seen, 4)})" if seen else ""

    def renewed(self) -> EndpointRequest:
        """Return the request for what was seen last."""
        return self._watch.renewed()


def _paths(sight: Sight) -> list[str]:
    return [path for _, path, *_ in sight.files | sight.build]
