"""Notices an image that serves, whatever word it is started with."""

from __future__ import annotations

import threading

from byoc_cli.check.hosting.asking import Place, ping
from byoc_cli.check.hosting.listening import listening
from byoc_cli.check.training.attempt import Listener
from byoc_cli.contract import hosting
from byoc_cli.engine.types import Container
from byoc_cli.local.training.execution import Execution

_LOOK_SECONDS = 1.0


class ServerWatch:
    """Looks beside a run of `train` whether it listens on an endpoint's port.

    `listens` says that it does; `answers` that /ping is 200, too: such a run goes on for ever, and is ended.
    """

    def __init__(self, network: str) -> None:
        self.listens = False
        self.answers = False
        self._network = network

    def __call__(self, container: Container, execution: Execution, _: Listener, over: threading.Event) -> None:
        """Look now and then, until it is over."""
        pid = 0
        while not over.wait(_LOOK_SECONDS):
            pid = pid or container.pid()
            there = listening(pid) or ()
            self.listens = any(each.port == hosting.PORT and not each.is_loopback for each in there)
            if self.listens and (address := container.address(self._network).partition("/")[0]):
                self.answers = ping(Place(address, hosting.PORT)).status == 200
            if self.answers:
                execution.grace = _LOOK_SECONDS
                execution.stop("stopped", "")
                return
