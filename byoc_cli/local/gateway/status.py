"""Look at a local endpoint from outside: it answers GET /endpoints/NAME with its state."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import closing, suppress

UNREACHABLE = ""
_SECONDS = 2.0
_RELEASE_SECONDS = 15.0


def word(port: int, name: str) -> str:
    """Return the state of the endpoint of that name: Creating, InService, Unhealthy; "" where it does not answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)) as connection:
        try:
            connection.request("GET", f"/endpoints/{name}")
            answer = connection.getresponse()
            content = json.loads(answer.read()) if answer.status == 200 else {}
        except (OSError, http.client.HTTPException, ValueError):
            return UNREACHABLE
    return str(content.get("EndpointStatus", UNREACHABLE)) if isinstance(content, dict) else UNREACHABLE


def wait_until_gone(port: int) -> None:
    """Wait until nobody listens any more: the container has ended, and its local endpoint ends with it."""
    deadline = time.monotonic() + _RELEASE_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return
        time.sleep(0.02)
