"""Waits for /ping as the platform does, but every 10 ms."""

from __future__ import annotations

import http.client
import time

from bench.shell import BenchError

_EVERY_SECONDS = 0.01


def wait_for_ping(host: str, port: int, *, seconds: float = 120) -> float:
    """Return the time (of `time.time`) at which /ping first answered 200."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _ping(host, port) == 200:
            return time.time()
        time.sleep(_EVERY_SECONDS)
    raise BenchError(f"/ping of {host}:{port} did not answer 200 within {seconds:.0f} s")


def _ping(host: str, port: int) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
