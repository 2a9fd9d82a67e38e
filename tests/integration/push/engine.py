"""A man in the middle between byoc and the engine: the real engine, but it says of itself what a test wants."""

from __future__ import annotations

import json
import re
import shutil
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import docker

_CONTAINERD = [["driver-type", "io.containerd.snapshotter.v1"]]


class _UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


@dataclass
class Engine:
    """What is changed on the way. `descriptor` is what a containerd store says of every image.

    `answer` is what comes of a push, which then goes nowhere; `pushed` are the paths of what was asked for. `digest` is
    that of what the registry stored instead ("" where it stored what was sent): the engine says that it sent this.
    """

    address: str
    behind: str
    containerd: bool = False
    podman: bool = False
    descriptor: dict[str, Any] = field(default_factory=dict)
    silence: float = 0.0
    pause: float = 0.0  # before each look into a container
    answer: bytes = b""
    digest: Callable[[], str] = str
    pushed: list[str] = field(default_factory=list)

    def said(self, piece: bytes) -> bytes:
        """Change what is said of a push."""
        digest = self.digest().encode()
        return re.sub(rb'(digest: |"Digest":")sha256:[0-9a-f]{64}', rb"\1" + digest, piece) if digest else piece

    def changed(self, path: str, body: bytes) -> bytes:
        """Change an answer of JSON."""
        if path.endswith("/info") and self.containerd:
            return json.dumps(json.loads(body) | {"DriverStatus": _CONTAINERD}).encode()
        if path.endswith("/version") and self.podman:
            return json.dumps(json.loads(body) | {"Components": [{"Name": "Podman Engine"}]}).encode()
        if "/images/" in path and path.endswith("/json") and self.descriptor and b'"Id"' in body:
            return json.dumps(json.loads(body) | {"Descriptor": self.descriptor}).encode()
        return body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

    def address_string(self) -> str:
        return "unix"  # there is no address to look up

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        pushes = path.endswith("/push")
        if path.endswith("/archive"):
            time.sleep(self.engine.pause)
        if pushes:
            self.engine.pushed.append(path)
            if self.engine.answer:
                self.send_response(200)
                self.send_header("Content-Length", str(len(self.engine.answer)))
                self.end_headers()
                self.wfile.write(self.engine.answer)
                return
        connection = _UnixConnection(self.engine.behind)
        try:
            connection.request(self.command, self.path, body or None, dict(self.headers.items()))
            answer = connection.getresponse()
            if pushes:
                self._stream(answer)
            else:
                self._whole(path, answer)
        finally:
            connection.close()

    def _whole(self, path: str, answer: HTTPResponse) -> None:
        body = self.engine.changed(path, answer.read())
        self._head(answer)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, answer: HTTPResponse) -> None:
        self._head(answer)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        time.sleep(self.engine.silence)
        while piece := self.engine.said(answer.read1()):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, answer: HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "date", "server", "connection"}:
                self.send_header(name, value)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no error of ours."""


@contextmanager
def proxied() -> Iterator[Engine]:
    """Put it in front of the engine that docker-py finds."""
    behind = _socket()
    folder = Path(tempfile.mkdtemp(prefix="e-"))  # short: a socket's path has 107 characters at most
    engine = Engine(f"unix://{folder}/d.sock", behind)
    server = _Server(f"{folder}/d.sock", type("Handler", (_Handler,), {"engine": engine}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(folder)


def _socket() -> str:
    client = docker.from_env()
    try:
        base = client.api.adapters.get("http+docker://")
        return str(getattr(base, "socket_path", "/var/run/docker.sock"))
    finally:
        client.close()
