"""Send an image to a registry and do not give up at the first stumble: layers that arrived stay there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from byoc_cli.engine import push as door
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.push import PushWatcher
from byoc_cli.engine.push_faults import PushFailed
from byoc_cli.engine.types import Credentials

ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0
"""No new try later than this: the engine itself tries a layer five times, which takes it close to a minute."""

Login = Callable[[], Credentials]
Log = Callable[[str], None]
Sleep = Callable[[float], None]


class Sender:
    """Sends images; `login` gives credentials, and new ones when they expire (None: the user's own Docker login)."""

    def __init__(
        self, engine: DockerEngine, login: Login | None, watch: PushWatcher, log: Log, sleep: Sleep = time.sleep
    ) -> None:
        self.engine = engine
        self._login = login
        self._watch = watch
        self._log = log
        self._sleep = sleep

    def send(self, image_id: str, repository: str, tag: str, *, keep_name: bool = True) -> str:
        """Push under a name that the image is given for it; returns the digest of what went up, "" if it is not said.

        Raises:
            PushFailed: refused, or refused again and again.

        """
        with self._named(image_id, repository, tag, keep=keep_name):
            start = time.monotonic()
            credentials = self._login() if self._login else None
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return door.push(self.engine, repository, tag, credentials, self._watch)
                except PushFailed as error:
                    late = attempt == ATTEMPTS or time.monotonic() - start > _PATIENCE_SECONDS
                    if late or not error.passing or (error.expired and not self._login):
                        raise
                    self._pause(error, attempt)
                    if error.expired and self._login:
                        credentials = self._login()
        raise AssertionError("unreachable: the last attempt returns or raises")

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
