"""Load on a local endpoint: clients that ask again as soon as they have their answer, and what became of it.

The clients are threads of Python, which take more time than the endpoint: this is about what is lost, not about speed.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise

import psutil

_WARM = 0.25  # of the time, until memory is looked at first


@dataclass
class Seen:
    """`wrong` is what came instead of an answer; `growth` of the local endpoint's memory is in bytes."""

    requests: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    growth: int = 0


def process_on(port: int) -> psutil.Process:
    """Return the process that listens on a port of 127.0.0.1."""
    (pid,) = {
        each.pid
        for each in psutil.net_connections("tcp")
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN and each.pid
    }
    return psutil.Process(pid)


def send(port: int, clients: int, seconds: float) -> Seen:
    """Let so many clients, each with a connection that stays open, ask an endpoint that answers with the request."""
    seen, process, start = Seen(), process_on(port), time.monotonic()
    counts = [0] * clients

    def client(number: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=90)) as connection:
            while time.monotonic() < start + seconds:
                body = f"{number}/{counts[number]}".encode() * 20
                try:
                    connection.request("POST", "/invocations", body)
                    answer = connection.getresponse()
                    content = answer.read()
                    if (answer.status, content) != (200, body):
                        seen.wrong.append(f"{answer.status} {content[:200]!r}")
                except (OSError, http.client.HTTPException) as error:
                    seen.wrong.append(repr(error))
                    connection.close()
                counts[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(seconds * _WARM)
    before = process.memory_info().rss
    for thread in threads:
        thread.join()
    seen.growth = process.memory_info().rss - before
    seen.requests, seen.seconds = sum(counts), time.monotonic() - start
    return seen


def pings(log: Iterable[str]) -> list[float]:
    """Return the times between the pings that bench/echo has written down."""
    times = [float(line.split()[1]) for line in log if line.startswith("ping ")]
    return [after - before for before, after in pairwise(times)]
