"""Waits for a served container until it is ready, or until it is clear that it will not be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from byoc_cli.check.hosting.asking import REFUSED, Answer, Place, ping
from byoc_cli.check.hosting.listening import Listening
from byoc_cli.check.hosting.server import Server
from byoc_cli.engine.types import Exit

_SOON_SECONDS = 0.05
_LOOK_SECONDS = 0.25
_CONFIRM_SECONDS = 1.5  # so long on the right port, but for itself alone
_ELSEWHERE_SECONDS = 3.0  # so long on another port, where /ping is 200
_NOWHERE_SECONDS = 20.0  # so long on other ports only: what stands before them may take its time
_IDLE_SECONDS = 5.0
_IDLE_SHARE = 0.04  # our pings cost it something, too
_LOADING_SECONDS = 15.0  # 5xx may be what stands before a server that still loads
_SERVER_ERRORS = 500
_NOT_YET = 503
_LATE_PINGS = 3
_PATIENCE_SECONDS = 15.0


@dataclass(frozen=True)
class Start:
    """How a start went: `ready` is the seconds until /ping was 200 twice in a row, None where it never was.

    Else `refused`, `exit`, `wrong` (addresses that nobody reaches it at), `late` (how long /ping took, in seconds) or
    `last` (the last ping) tell why; `idle` says that it did nothing any more. `log` is what it had said by then.
    """

    ready: float | None = None
    seconds: float = 0.0
    refused: str = ""
    exit: Exit | None = None
    wrong: Sequence[Listening] = ()
    late: Sequence[float] = ()
    last: Answer = field(default_factory=Answer)
    listens: Sequence[Listening] | None = None
    idle: bool = False
    log: str = ""

    @property
    def last_lines(self) -> str:
        """What it said last, for a finding."""
        lines = self.log.splitlines()[-5:]
        return "its last lines:\n" + "\n".join(f"  {line[:200]}" for line in lines) if lines else "it printed nothing"


class _Watch:
    """What was seen so far of a container that is not ready yet."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._since: dict[str, float] = {}
        self._cpu: list[tuple[float, float]] = []
        self._looked = 0.0
        self.listens: Sequence[Listening] | None = None
        self.late: list[float] = []
        self._late_pings = 0
        self._status = 0

    def exit(self) -> Exit | None:
        now = time.monotonic()
        if self._server.said_all or now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self.listens = self._server.listens
            return self._server.exited()
        return None

    def lasts(self, what: str, seconds: float, *, holds: bool) -> bool:
        """Whether something has been so for that long."""
        if not holds:
            self._since.pop(what, None)
            return False
        return time.monotonic() - self._since.setdefault(what, time.monotonic()) >= seconds

    def wrong(self, answer: Answer) -> list[Listening]:
        """Addresses that it listens on instead of the right one, once that is sure."""
        there, port = self.listens or [], self._server.port
        on_port = [each for each in there if each.port == port]
        only_6 = answer.why == REFUSED and all(":" in each.address for each in on_port)
        alone = bool(on_port) and (only_6 or all(each.is_loopback for each in on_port))
        if self.lasts("alone", _CONFIRM_SECONDS, holds=alone):
            return on_port
        others = list(there) if not on_port else []
        # What loads a large model may listen elsewhere meanwhile.
        if self.lasts("nowhere", _NOWHERE_SECONDS, holds=bool(others) and self.idle()):
            return others
        answering = [each for each in others if not each.is_loopback] if self._is_own_address() else []
        if self.lasts("elsewhere", _ELSEWHERE_SECONDS, holds=bool(answering)):
            return [each for each in answering if ping(Place(self._server.place.host, each.port)).status == 200]
        return []

    def _is_own_address(self) -> bool:
        return self._server.place.port == self._server.port

    def is_late(self, answer: Answer) -> bool:
        """Whether /ping is 200, but never in time: the third one that is late is waited for."""
        timed_out = not answer.status and answer.why.startswith("no answer within")
        self._late_pings = self._late_pings + 1 if timed_out else 0
        if self._late_pings >= _LATE_PINGS:
            waited = ping(self._server.place, _PATIENCE_SECONDS)
            if waited.status == 200 and waited.seconds > 2:
                self.late.append(waited.seconds)
        return len(self.late) > 1

    def is_refusing(self, answer: Answer) -> bool:
        """Whether it goes on saying the same no, and does nothing else."""
        if answer.status != self._status:
            self.lasts("refusing", 0, holds=False)
            self._status = answer.status
        idle = self.idle()
        seconds = _LOADING_SECONDS if answer.status >= _SERVER_ERRORS else _IDLE_SECONDS
        for_good = answer.status not in {0, _NOT_YET}
        return self.lasts("refusing", seconds, holds=for_good) and idle

    def idle(self) -> bool:
        """Whether it has had next to no CPU time lately."""
        now = time.monotonic()
        if not self._cpu or now - self._cpu[-1][0] > 1:
            self._cpu.append((now, self._server.container.cpu_seconds()))
        before = [each for each in self._cpu if now - each[0] >= _IDLE_SECONDS]
        return bool(before) and (self._cpu[-1][1] - before[-1][1]) < _IDLE_SHARE * (now - before[-1][0])


def wait_until_ready(server: Server, timeout: float) -> Start:
    """Ping until it is ready, has ended, or cannot become ready any more."""
    watch, answer = _Watch(server), Answer()

    def start(**more: object) -> Start:
        seconds = time.monotonic() - server.started
        return Start(seconds=seconds, last=answer, listens=watch.listens, log=server.log, **more)  # type: ignore[arg-type]

    while True:
        server.bench.check()
        if ended := watch.exit():
            return start(exit=ended)
        before, answer = answer, ping(server.place)
        if answer.status == 200:
            if before.status == 200:
                watch.listens = server.listens
                return start(ready=time.monotonic() - server.started)
        elif wrong := watch.wrong(answer):
            return start(wrong=wrong)
        elif watch.is_late(answer):
            return start(late=tuple(watch.late))
        elif watch.is_refusing(answer) or time.monotonic() - server.started > timeout:
            return start(idle=watch.idle())
        time.sleep(_SOON_SECONDS if time.monotonic() - server.started < 3 else 4 * _SOON_SECONDS)
