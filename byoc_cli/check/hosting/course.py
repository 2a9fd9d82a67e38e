"""One container through all that an endpoint meets: the start, requests, load, abuse, the stop."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from byoc_cli.check.bench import Bench
from byoc_cli.check.hosting import samples
from byoc_cli.check.hosting.asking import Answer, Call, Request, ask, connect_seconds, invoke, ping
from byoc_cli.check.hosting.facts import Abuse, Load, ServingFacts, Stop
from byoc_cli.check.hosting.server import Server
from byoc_cli.check.training.signals import first_process
from byoc_cli.contract import batch, hosting
from byoc_cli.engine.types import Exit

_CONNECTS = 20
_CONNECT_PAUSE = 0.02
_SLOW_CONNECTS = 5.0  # seconds of them are enough
_AT_ONCE = 8
_LOAD_SECONDS = 1.0
_PING_PAUSE = 0.05
_GUESS_SECONDS = 10.0  # a guess that takes longer is the last one
_SLOW_SECONDS = 0.5
_PICK_UP_SECONDS = 0.3
_PICK_UP_AT_MOST = 5.0
_FINISH_SECONDS = 0.7
_HEALTHY_SECONDS = 10.0
_IGNORED_SECONDS = 3.0
_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
TOO_LARGE = 413
STREAM_PATH = "/invocations-bidirectional-stream"
_OF_REQUESTS = {
    *("H-04", "H-07", "H-10", "H-13", "H-15", "H-16", "H-17", "H-18", "H-19", "H-20", "H-21", "H-25", "H-26", "H-45"),
}
_PLAIN = Request(b'{"instances": [[1.0, 2.0, 3.0, 4.0]]}', "application/json")


class Course:
    """Gathers facts of a server that is ready; each part goes on from what the one before has left."""

    def __init__(self, server: Server, facts: ServingFacts, bench: Bench) -> None:
        self._server = server
        self._place = server.place
        self._bench = bench
        self.facts = facts

    def run(self) -> ServingFacts:
        """Ask, load, abuse and stop it."""
        parts = (
            (self._look, {"H-10", "H-13", "H-47", "H-56"}),
            (self._find_sample, _OF_REQUESTS),
            (self._headers, {"H-16", "H-19"}),
            (self._load, {"H-10", "H-13", "H-25"}),
            (self._abuse, {"H-18", "H-21"}),
            (self._stop, {"H-07"}),
        )
        for part, shows in parts:
            self._bench.check()
            if not self.facts.died and shows & self._bench.wanted:
                part()
        self._server.end()
        return replace(self.facts, log=self._server.log)

    def _set(self, **found: object) -> None:
        self.facts = replace(self.facts, **found)  # type: ignore[arg-type]

    @property
    def _request(self) -> Request:
        """What it takes; what it may refuse where nothing is known that it takes."""
        return self.facts.sample or _PLAIN

    def _look(self) -> None:
        pings = hosting.PING_TIMEOUT_SECONDS
        connects = []
        for _ in range(_CONNECTS):
            connects.append(connect_seconds(self._place))
            if sum(connects) > _SLOW_CONNECTS:
                break
            time.sleep(_CONNECT_PAUSE)  # or a short backlog would be full of what is closed already
        self._set(
            connects=connects,
            posted_ping=ask(self._place, "POST", hosting.PING_PATH, timeout=pings),
            parameters=ask(self._place, "GET", batch.EXECUTION_PARAMETERS_PATH, timeout=pings),
            upgrade=ask(self._place, "GET", STREAM_PATH, headers=_UPGRADE, timeout=pings),
        )

    def _find_sample(self) -> None:
        asked = samples.given(self._bench.order)
        tries: list[tuple[Request, Answer]] = []
        end = time.monotonic() + self._bench.order.timeout
        for request in [asked] if asked else samples.guesses(self._bench.order):
            self._bench.check()
            answer = invoke(self._place, request)
            tries.append((request, answer))
            if answer.ok:
                self._set(sample=request, answer=answer)
            if answer.ok or answer.seconds > _GUESS_SECONDS or time.monotonic() > end:
                break
            if not answer.status and (ended := self._ended()):
                self._set(died=f"it ended with {_code(ended)} when it was sent {request.what}")
                break
        self._set(tries=tries, asked=bool(asked))

    def _headers(self) -> None:
        """What the platform may add, and a type that nobody knows (H-16, H-19)."""
        if not self.facts.sample:
            return
        added = {
            "X-Unknown": {"X-Unknown": "1"},
            hosting.CUSTOM_ATTRIBUTES_HEADER: {
                hosting.CUSTOM_ATTRIBUTES_HEADER: "trace=1;source=check;".ljust(hosting.MAX_CUSTOM_ATTRIBUTES, "x"),
                "X-Amzn-SageMaker-Inference-Id": "check-1",
            },
        }
        self._set(
            with_headers={name: invoke(self._place, self.facts.sample, more=more) for name, more in added.items()},
            unknown_type=invoke(self._place, replace(self.facts.sample, content_type="application/x-unknown")),
        )

    # -- load ----------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """One request alone, one that is on its way for long, eight at once; what was late is tried once more."""
        if self.facts.answer.seconds > _SLOW_SECONDS:
            self._set(busy=self._under(1, 0))
            if self.facts.busy.late:  # it may have been this machine
                self._set(busy=self._under(1, 0))
            if self.facts.busy.late:  # eight would take long, and tell nothing more
                self._until_healthy()
                return
        held = self._hold()
        self._set(held=held if held.status == 200 else self._hold())
        loads = [self._under(_AT_ONCE, _LOAD_SECONDS)]
        refused = self.facts.sample and not all(each.ok for each in loads[0].answers)
        if loads[0].late or refused or max(loads[0].connects, default=0) > hosting.ACCEPT_SECONDS:
            self._until_healthy()
            loads.append(self._under(_AT_ONCE, _LOAD_SECONDS))
        self._set(loads=loads)
        self._until_healthy()
        if ended := self._ended():
            self._set(died=f"it ended with {_code(ended)} under eight requests at once")

    def _under(self, at_once: int, seconds: float) -> Load:
        """Send so many requests at once, for so long at least; ping and connect beside them."""
        end = time.monotonic() + seconds
        answers: list[Answer] = []

        def post() -> None:
            while True:
                answers.append(invoke(self._place, self._request))
                if time.monotonic() >= end or not answers[-1].status:
                    return

        pings, connects = [], []
        with ThreadPoolExecutor(at_once) as pool:
            posts = [pool.submit(post) for _ in range(at_once)]
            while not all(each.done() for each in posts):
                time.sleep(_PING_PAUSE)
                connects.append(connect_seconds(self._place))
                pings.append(ping(self._place))
                self._bench.check()
        return Load(answers, pings, connects)

    def _hold(self) -> Answer:
        """Ping while a request lacks its last byte: a server with one worker waits for it."""
        call = self._held_call()
        self._until_picked_up()
        held = ping(self._place)
        call.more(self._request.body[-1:])
        call.answer()
        return held

    def _held_call(self) -> Call:
        call = Call(self._place, hosting.INVOCATION_TIMEOUT_SECONDS)
        call.send("POST", hosting.INVOCATIONS_PATH, self._request.body, self._request.headers, keep=1)
        return call

    def _until_picked_up(self) -> None:
        """Wait until it has read the request that was sent, as far as it came."""
        end = time.monotonic() + _PICK_UP_AT_MOST
        time.sleep(_PICK_UP_SECONDS)
        while self._server.has_unread and time.monotonic() < end:
            time.sleep(_PING_PAUSE)

    # -- abuse ---------------------------------------------------------------------------------------------------------

    def _abuse(self) -> None:
        for size in (hosting.OLD_MAX_PAYLOAD_BYTES, hosting.SERVERLESS_MAX_PAYLOAD_BYTES):
            what = f"a body of {size >> 20} MB"
            self._set(large=(*self.facts.large, self._abused(what, samples.large(self._request, size))))
            if self.facts.died or self.facts.large[-1].answer.status != TOO_LARGE:
                break
        bad: list[Abuse] = []
        for what, request in samples.bad(self.facts.sample):
            if self.facts.died:
                break
            bad.append(self._abused(what, request))
        self._set(bad=bad)

    def _abused(self, what: str, request: Request) -> Abuse:
        answer = invoke(self._place, request)
        after = self._until_healthy()
        ended = None if after.status else self._ended()
        if ended:
            self._set(died=f"it ended with {_code(ended)} after {what}")
        return Abuse(what, answer, after, ended)

    def _until_healthy(self) -> Answer:
        """Ping until it is 200 again: a worker that died may be replaced."""
        end = time.monotonic() + _HEALTHY_SECONDS
        while True:
            answer = ping(self._place)
            if answer.status == 200 or time.monotonic() > end or (not answer.status and self._ended()):
                return answer
            time.sleep(_PING_PAUSE)

    def _ended(self) -> Exit | None:
        return self._server.exited()

    # -- the stop ------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Send SIGTERM while a request is on its way."""
        process = first_process(self._server.pid)
        takes = process is None or process.takes
        grace = float(hosting.STOP_GRACE_SECONDS) if takes else _IGNORED_SECONDS
        flight: Answer | None = None
        real = self.facts.answer.seconds > _SLOW_SECONDS
        with ThreadPoolExecutor(2) as pool:
            call = None if real else self._held_call()
            sent = pool.submit(invoke, self._place, self._request) if real else None
            self._until_picked_up()
            start = time.monotonic()
            stopped = pool.submit(self._server.container.stop, grace)
            time.sleep(_FINISH_SECONDS)
            if call:
                call.more(self._request.body[-1:])
                flight = call.answer()
            elif sent:
                flight = sent.result()
            stopped.result()
            seconds = time.monotonic() - start
        ended = self._server.container.wait()
        self._set(stop=Stop(process, flight, real, ended, seconds, grace))


def stop_alone(server: Server) -> Stop:
    """Send SIGTERM while nothing is on its way."""
    process, start = first_process(server.pid), time.monotonic()
    server.container.stop(float(hosting.STOP_GRACE_SECONDS))
    seconds = time.monotonic() - start
    return Stop(process, None, False, server.container.wait(), seconds, float(hosting.STOP_GRACE_SECONDS))


def _code(ended: Exit) -> str:
    return f"exit code {ended.code}" + (" (out of memory)" if ended.out_of_memory else "")
