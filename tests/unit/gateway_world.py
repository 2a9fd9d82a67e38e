"""A local endpoint before small servers of this process."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import botocore.session
from botocore.config import Config

from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.gateway.thread import ThreadGateway
from byoc_cli.local.places import S3Door
from tests.fakes import Told
from tests.unit.test_endpoint import Answer, Server

NAME = "my-endpoint"


class World:
    """`servers` are the containers, `server` the first; `url` is where the local endpoint answers.

    `told` is what it said.
    """

    def __init__(
        self, servers: list[Server], settings: Settings, *, ready: bool = True, s3: S3Door | None = None
    ) -> None:
        self.servers, self.server = servers, servers[0]
        self.told = Told()
        self._clients: list[Any] = []
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.port = int(listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.gateway = ThreadGateway(listener, self.told, s3)
        self.gateway.begin(settings, [])
        if ready:
            self.gateway.ready()

    @property
    def invocations(self) -> list[dict[str, str]]:
        """The headers of what came to the first container's /invocations."""
        return self.invocations_of(0)

    def invocations_of(self, index: int) -> list[dict[str, str]]:
        """The headers of what came to a container's /invocations."""
        asked = self.servers[index].asked
        return [headers for what, headers in asked if what == "POST /invocations"]

    def boto(self, config: Config | None = None) -> Any:
        """An SDK's client of it."""
        client = botocore.session.Session().create_client(
            "sagemaker-runtime",
            region_name="eu-west-1",
            endpoint_url=self.url,
            aws_access_key_id="A" * 20,
            aws_secret_access_key="x",
            config=config,
        )
        self._clients.append(client)
        return client

    def close(self) -> None:
        """End it, and the clients before it."""
        for client in self._clients:
            client.close()
        self.gateway.end()
        for server in self.servers:
            server.close()


@contextmanager
def world(
    answer: Answer | None = None,
    *,
    ready: bool = True,
    s3: S3Door | None = None,
    hostnames: Sequence[str] = ("primary",),
    **changes: Any,
) -> Iterator[World]:
    """A local endpoint that pings when the test is over, unless `changes` of its settings say otherwise."""
    servers = [Server() for _ in hostnames]
    servers[0].answers = [answer] if answer else servers[0].answers
    upstreams = tuple(f"127.0.0.1:{server.http.server_port}" for server in servers)
    settings = Settings(NAME, upstreams, tuple(hostnames))
    made = World(
        servers, replace(settings, **({"ping_interval": 3600.0, "ping_timeout": 30.0} | changes)), ready=ready, s3=s3
    )
    try:
        yield made
    finally:
        made.close()


def on(path: str, answer: Answer) -> Answer:
    """Answer so on one path only; elsewhere 200 and nothing."""

    def either(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == path:
            answer(handler)
        else:
            handler.send_response(200)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

    return either


def chunked(
    *parts: bytes,
    pause: float = 0.0,
    end: bool = True,
    content_type: str = "text/plain",
    go_on: Callable[[], bool] = lambda: True,
) -> Answer:
    """Answer in chunks, each flushed; without an `end`, or when not told to `go_on` after one, it is broken off."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in parts:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            handler.wfile.flush()
            time.sleep(pause)
            if not go_on():
                break
        if end and part == parts[-1]:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.close_connection = True

    return answer


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait until it holds; says whether it came to be."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
