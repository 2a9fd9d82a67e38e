"""Requests to /invocations: one to look at the answer, then wrk.

wrk is Debian's package in the image that the bench makes. It is written in C: on the same cores as the server, a load
generator in Python would take more time for 32 clients than what it measures. It runs in the server's own network name
space, so that the engine's port forwarding is in neither side's figures.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.shell import BenchError, run
from bench.workshop import HERE, Workshop

PORT = 8080


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    p50_ms: float
    p99_ms: float
    per_second: float


def address(shop: Workshop, name: str) -> str:
    """Return where a running container can be reached from this host: its own address, without port forwarding."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return run([shop.docker, "inspect", "--format", template, name]).strip()


def classes(host: str, body: str) -> list[int]:
    """Send one request; return the predicted classes."""
    connection = http.client.HTTPConnection(host, PORT, timeout=60)
    try:
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise BenchError(f"/invocations answered {answer.status}: {content[:300].decode(errors='replace')}")
        predictions: list[dict[str, Any]] = json.loads(content)["predictions"]
        return [int(row["classes"]) for row in predictions]
    except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
        raise BenchError(f"/invocations: {error!r}") from error
    finally:
        connection.close()


def send(shop: Workshop, tools: str, server: str, bodies: Path, clients: int, seconds: int) -> Load:
    """Let `clients` keep-alive connections post pictures for some seconds, each as soon as it has its last answer."""
    mounts = ["-v", f"{HERE / 'load.lua'}:/load.lua:ro", "-v", f"{bodies}:/bodies:ro"]
    where = ["run", "--rm", "--name", shop.container_name(), "--network", f"container:{server}", *mounts]
    wrk = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", "/load.lua"]
    url = f"http://127.0.0.1:{PORT}/invocations"
    printed = run([shop.docker, *where, tools, *wrk, url, "--", "/bodies"])
    seen = json.loads(printed.strip().splitlines()[-1])
    if seen["failed"] or not seen["requests"]:
        raise BenchError(f"{seen['failed']} of {seen['requests']} requests failed")
    return Load(seen["p50_ms"], seen["p99_ms"], seen["requests"] / seen["seconds"])
