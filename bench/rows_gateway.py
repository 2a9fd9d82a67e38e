"""The rows about the local endpoint: what it costs to stand between a client and the container, and what it bears."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from statistics import median
from urllib.parse import urlsplit

from bench import endpoint_load
from bench.figures import Figure, Reach
from bench.shell import BenchError, byoc, run
from bench.workshop import HERE, Workshop, free_port

_REQUESTS = 2000
_CLIENTS, _SECONDS = 32, 60
_BODY = json.dumps({"instances": [[0.5] * 32]}).encode()


def p50(shop: Workshop) -> list[Figure]:
    """One client with a connection that stays open, through the local endpoint and to the container's own port.

    Both are the same container's: its published port is in both sides' figures. They are asked in turns.
    """
    image = shop.image("echo", HERE / "echo")
    with _served(shop, image) as (local, own):
        rounds = [(_p50(local), _p50(own)) for _ in range(shop.rounds + 1)][1:]  # the first one is the warm-up
    what = "/invocations through the local endpoint of `byoc serve`, one client, p50"
    ours, against = [pair[0] for pair in rounds], [pair[1] for pair in rounds]
    return [Figure("gateway-p50", what, "ms", Reach(0.5, "difference"), ours, against, "the container's own port")]


def load(shop: Workshop) -> list[Figure]:
    """32 clients for a minute: nothing is lost, pings come in time, and memory stays as it is."""
    image = shop.image("echo", HERE / "echo")
    with _served(shop, image) as (local, _):
        seen = endpoint_load.send(local, _CLIENTS, _SECONDS)
        between = endpoint_load.pings(run([*byoc(), "logs"], cwd=shop.project).splitlines())
    what = f"{_CLIENTS} clients for {_SECONDS} s through the local endpoint: "

    def figure(name: str, about: str, unit: str, reach: Reach, value: float) -> Figure:
        return Figure(f"endpoint-{name}", what + about, unit, reach, [value])

    return [
        figure("requests", "answers a second", "", Reach(100, "value", least=True), seen.requests / seen.seconds),
        figure("lost", "requests without their answer", "", Reach(0, "value"), len(seen.wrong)),
        figure("pings", "the longest time from one ping to the next", "s", Reach(4, "value"), max(between)),
        figure("memory", "what it grew by", "MB", Reach(10, "value"), seen.growth / 1e6),
    ]


@contextmanager
def _served(shop: Workshop, image: str) -> Iterator[tuple[int, int]]:
    """Give the ports of both."""
    words = [*byoc(), "serve", image, "--detach", "--json", "--port", str(free_port())]
    try:
        served = json.loads(run(words, cwd=shop.project))
        published = run([shop.docker, "port", served["container"], "8080/tcp"])
        yield int(urlsplit(served["endpoint"]).port or 0), int(published.strip().rpartition(":")[2])
    finally:
        run([*byoc(), "stop", "-q"], cwd=shop.project, check=False)


def _p50(port: int) -> float:
    """Milliseconds of the middle request."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.connect()
        # Headers and body are two writes: the second is not to wait for the first one's acknowledgement.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return median(_ask(connection) for _ in range(_REQUESTS)) * 1e3


def _ask(connection: http.client.HTTPConnection) -> float:
    start = time.perf_counter()
    connection.request("POST", "/invocations", _BODY, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - start
    if answer.status != 200 or content != _BODY:
        raise BenchError(f"/invocations answered {answer.status}: {content[:300].decode(errors='replace')}")
    return seconds
