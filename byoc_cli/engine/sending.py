"""Send an image to a registry and do not give up at the first stumble: layers that arrived stay there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from byoc_cli.engine import push as door
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.push import ENDS, LayerProgress, PushWatcher
from byoc_cli.engine.push_faults import PushFailed
from byoc_cli.engine.types import Credentials

ATTEMPTS = 5
"""Without any progress between them."""
_FIRST_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0
"""No new try when the engine's own ones got nowhere for longer: it tries a layer five times, close to a minute."""

Login = Callable[[], Credentials]
Log = Callable[[str], None]
Sleep = Callable[[float], None]
Clock = Callable[[], float]


class _Progress:
    """A PushWatcher that passes on what it is told, and knows when a push last got further than ever before."""

    def __init__(self, watch: PushWatcher, clock: Clock) -> None:
        self._watch = watch
        self._clock = clock
        self._furthest: dict[str, float] = {}
        self._last = clock()
        self._engine_tries = False
        self.went_on = False

    def __call__(self, at: LayerProgress) -> None:
        # The engine begins a layer anew when it failed; after a new try it says again of each that it is there.
        reached = float("inf") if at.status.startswith(ENDS) else at.done
        if reached > self._furthest.get(at.layer, 0):
            self._furthest[at.layer] = reached
            self._last = self._clock()
            self._engine_tries, self.went_on = False, True
        self._engine_tries |= at.status.startswith("Retrying")
        self._watch(at)

    def is_stuck(self) -> bool:
        # Silence alone is none: a slow registry may be quiet for minutes.
        return self._engine_tries and self._clock() - self._last > _PATIENCE_SECONDS


class Sender:
    """Sends images; `login` gives credentials, and new ones when they expire (None: the user's own Docker login)."""

    def __init__(
        self,
        engine: DockerEngine,
        login: Login | None,
        watch: PushWatcher,
        log: Log,
        sleep: Sleep = time.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        self.engine = engine
        self._login = login
        self._watch = watch
        self._log = log
        self._sleep = sleep
        self._clock = clock

    def send(self, image_id: str, repository: str, tag: str, *, keep_name: bool = True) -> str:
        """Push under a name that the image is given for it; returns the digest of what went up, "" if it is not said.

        Raises:
            PushFailed: refused, or refused again and again.

        """
        with self._named(image_id, repository, tag, keep=keep_name):
            progress = _Progress(self._watch, self._clock)
            credentials = self._login() if self._login else None
            failures = 0
            while True:
                progress.went_on = False
                try:
                    return door.push(self.engine, repository, tag, credentials, progress)
                except PushFailed as error:
                    failures = 1 if progress.went_on else failures + 1
                    if failures == ATTEMPTS or not self._worth_another_try(error, progress):
                        raise
                    self._pause(error, failures)
                    if error.expired and self._login:
                        credentials = self._login()

    def _worth_another_try(self, error: PushFailed, progress: _Progress) -> bool:
        # However long it took: a token expires in the middle of a long push.
        return self._login is not None if error.expired else error.passing and not progress.is_stuck()

    def _pause(self, error: PushFailed, attempt: int) -> None:
        cause = error.message.partition("\n")[2]
        if error.expired:
            self._log(f"{cause}; going on with a new token")
            return
        pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
        self._log(f"{cause}; trying again in {pause:.0f} s ({attempt} of {ATTEMPTS - 1})")
        self._sleep(pause)

    @contextmanager
    def _named(self, image_id: str, repository: str, tag: str, *, keep: bool) -> Iterator[None]:
        """Give the image the name to be pushed under; after a failure all names are what they were."""
        reference = f"{repository}:{tag}"
        before = self.engine.image(reference)
        door.give_name(self.engine, image_id, repository, tag)
        done = False
        try:
            yield
            done = True
        finally:
            if not (done and keep):
                self._put_back(reference, repository, tag, before.id if before else "")

    def _put_back(self, reference: str, repository: str, tag: str, image_id: str) -> None:
        if image_id:
            door.give_name(self.engine, image_id, repository, tag)
            return
        now = self.engine.image(reference)
        # An image without another name (it was given by its id) would go with this one.
        if now and len(now.tags) > 1:
            door.take_name(self.engine, reference)
