"""A real registry with a password, and a man in the middle that can do to it what networks and registries do."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bcrypt

from tests.ports import free_port

USER = "AWS"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPT = ", ".join(
    f"application/vnd.{name}+json"
    for name in (
        "docker.distribution.manifest.v2",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "oci.image.index.v1",
    )
)


def program() -> str:
    """Find the registry; "" where there is none."""
    return shutil.which("docker-registry") or shutil.which("registry") or ""


def digest_of(content: bytes) -> str:
    """The digest that a registry gives to bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@contextmanager
def running(folder: Path, password: str) -> Iterator[int]:
    """Run a registry that knows one user; gives its port."""
    port = free_port()
    # Asked at every request: bcrypt's usual cost would be half a second each time.
    secret = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{secret}\n")
    configuration = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "ecr", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(configuration))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program(), "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"the registry does not answer (exit code {process.poll()})")


# -- what a registry says ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An answer in place of the registry's."""

    status: int
    body: bytes = b""
    media_type: str = "application/json"


def refusal(status: int, code: str, message: str) -> Answer:
    """A registry's error, in the form of the distribution API."""
    return Answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode())


@dataclass(frozen=True)
class Cut:
    """The connection breaks when `after` bytes of the body came."""

    after: int


@dataclass(frozen=True)
class Silence:
    """Nothing is heard for some seconds; then all goes on."""

    seconds: float


Fault = Answer | Cut | Silence
Rewrite = Callable[["Registry", str, str, dict[str, Any]], tuple[str, bytes]]
"""(registry, repository, tag, manifest that came) -> (media type, manifest that is stored)."""


@dataclass
class _Rule:
    method: str
    path: str
    fault: Fault
    times: int


@dataclass
class Registry:
    """The way to a registry: a proxy on `port` in front of it. Faults are used up, in order."""

    behind: int
    password: str
    port: int = 0
    rewrite: Rewrite | None = None
    rewritten: str = ""
    requests: list[str] = field(default_factory=list)
    _rules: list[_Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        """What an image's name begins with; the engine takes plain HTTP from localhost only."""
        return f"localhost:{self.port}"

    def fail(self, method: str, path: str, fault: Fault, times: int = 1) -> None:
        """Let the next requests of that method, whose path matches the expression, go wrong."""
        self._rules.append(_Rule(method, path, fault, times))

    def reset(self) -> None:
        """Forget all faults."""
        self._rules.clear()
        self.requests.clear()
        self.rewrite, self.rewritten = None, ""

    @property
    def unused(self) -> list[str]:
        """Faults that nothing ran into: a test that proves nothing."""
        return [f"{rule.method} {rule.path}" for rule in self._rules if rule.times > 0]

    def fault_for(self, method: str, path: str) -> Fault | None:
        """Use up a fault."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            for rule in self._rules:
                if rule.times > 0 and rule.method == method and re.search(rule.path, path):
                    rule.times -= 1
                    return rule.fault
        return None

    # -- past the proxy -----------------------------------------------------------------------------------------------

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Talk to the registry itself, with the password."""
        token = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        connection = HTTPConnection("127.0.0.1", self.behind, timeout=60)
        try:
            own = {"Authorization": f"Basic {token}", "Accept": ACCEPT}
            connection.request(method, f"/v2/{path}", body or None, own | dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def tags(self, repository: str) -> list[str]:
        """Name the tags of a repository."""
        _, _, body = self.ask("GET", f"{repository}/tags/list")
        return list(json.loads(body or b"{}").get("tags") or [])

    def manifest(self, repository: str, reference: str) -> tuple[str, str, bytes] | None:
        """Return (digest, media type, bytes) of a manifest."""
        status, headers, body = self.ask("GET", f"{repository}/manifests/{reference}")
        return (headers["Docker-Content-Digest"], headers["Content-Type"], body) if status == 200 else None

    def put_manifest(self, repository: str, reference: str, media_type: str, content: bytes) -> None:
        """Store a manifest."""
        status, _, said = self.ask("PUT", f"{repository}/manifests/{reference}", content, {"Content-Type": media_type})
        assert status == 201, said

    def put_blob(self, repository: str, content: bytes) -> dict[str, Any]:
        """Store a blob; gives what a manifest says of it, but for the media type."""
        status, headers, said = self.ask("POST", f"{repository}/blobs/uploads/")
        assert status == 202, said
        location = headers["Location"].partition("/v2/")[2]
        status, _, said = self.ask("PUT", f"{location}&digest={digest_of(content)}", content)
        assert status == 201, said
        return {"digest": digest_of(content), "size": len(content)}


@contextmanager
def proxied(behind: int, password: str) -> Iterator[Registry]:
    """Put the proxy in front of a registry."""
    registry = Registry(behind, password)
    handler = type("Handler", (_Handler,), {"registry": registry})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    registry.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Hands each request on, and the answer back."""

    protocol_version = "HTTP/1.1"
    registry: Registry

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

    def _serve(self) -> None:
        fault = self.registry.fault_for(self.command, self.path)
        if isinstance(fault, Cut):
            self._read(fault.after)
            self.close_connection = True
            # Not a polite end: what a dead router sends.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            self.connection.close()
            return
        body = self._read()
        if isinstance(fault, Silence):
            time.sleep(fault.seconds)
        if isinstance(fault, Answer):
            self._answer(fault.status, {"Content-Type": fault.media_type}, fault.body)
            return
        self._forward(body)

    def _read(self, most: int | None = None) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return b"".join(self._chunks(most))
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length if most is None else min(most, length))

    def _chunks(self, most: int | None) -> Iterator[bytes]:
        got = 0
        while most is None or got < most:
            size = int(self.rfile.readline().partition(b";")[0], 16)
            yield self.rfile.read(size)
            self.rfile.readline()
            got += size
            if size == 0:
                return

    def _forward(self, body: bytes) -> None:
        found = re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", self.path)
        # The engine sends a line for each type that it accepts; the registry gives another manifest for each.
        headers = {name: ", ".join(self.headers.get_all(name, [])) for name in self.headers}
        headers.pop("Transfer-Encoding", None)
        headers["Content-Length"] = str(len(body))
        if self.command == "PUT" and found and self.registry.rewrite:
            media_type, body = self.registry.rewrite(self.registry, found[1], found[2], json.loads(body))
            headers |= {"Content-Type": media_type, "Content-Length": str(len(body))}
            self.registry.rewritten = digest_of(body)
        connection = HTTPConnection("127.0.0.1", self.registry.behind, timeout=60)
        try:
            # The Host header is passed on: the registry's Location then leads back to the proxy.
            connection.request(self.command, self.path, body or None, headers)
            self._pass_on(connection.getresponse())
        finally:
            connection.close()

    def _pass_on(self, answer: HTTPResponse) -> None:
        hop = {"transfer-encoding", "connection", "content-length"}
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in hop}
        length = answer.headers.get("Content-Length", "")
        self._answer(answer.status, headers, answer.read(), length if self.command == "HEAD" else "")

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, length: str = "") -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
