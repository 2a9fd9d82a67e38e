"""A server of this process that a batch job sends its requests to, and files in the formats that it splits."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google_crc32c

from byoc_cli.local.channels import recordio

Answer = tuple[int, bytes]


class HangUp(Exception):
    """Close the connection; `sent` goes out before, as the beginning of a longer answer."""

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__()
        self.sent = sent


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: BatchServer

    def do_GET(self) -> None:
        known = self.path == "/execution-parameters" and self.world.parameters is not None
        self._reply(200 if known else 404, self.world.parameters or b"")

    def do_POST(self) -> None:
        body = self._body()
        number = self.world.came(body, {name.lower(): value for name, value in self.headers.items()})
        try:
            status, answer = self.world.act(body, number)
        except HangUp as hang_up:
            if hang_up.sent:
                self._reply(200, hang_up.sent, 1000)
            self.close_connection = True
        else:
            self._reply(status, answer)
        finally:
            self.world.went()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _reply(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if self.world.sets:
            self.send_header("Set-Cookie", self.world.sets)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 100

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away


class BatchServer:
    """Answers /invocations as `act` says of a body and the request's number; GET with `parameters`, None is 404.

    `bodies` and `headers` are those of all requests in the order of their arrival; `most` is how many were at work
    at the same time. Each answer sets the cookie in `sets`, if there is one.
    """

    def __init__(self) -> None:
        self.act: Callable[[bytes, int], Answer] = lambda body, _: (200, body)
        self.parameters: bytes | None = None
        self.sets = ""
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.most = self._now = 0
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"world": self}))
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def came(self, body: bytes, headers: dict[str, str]) -> int:
        """Remember a request; gives its number."""
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self._now += 1
            self.most = max(self.most, self._now)
            return len(self.bodies) - 1

    def went(self) -> None:
        """Remember that a request is over."""
        with self._lock:
            self._now -= 1

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _masked(data: bytes) -> bytes:
    crc = int(google_crc32c.value(data))
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def tfrecord(payload: bytes) -> bytes:
    """One TFRecord, as TensorFlow writes it."""
    length = struct.pack("<Q", len(payload))
    return length + _masked(length) + payload + _masked(payload)


def recordio_frame(payload: bytes) -> bytes:
    """One RecordIO record in one part."""
    return b"".join(recordio.frame(len(payload), [payload]))


def recordio_parts(parts: Iterable[bytes]) -> bytes:
    """One RecordIO record in several parts, as MXNet writes a payload with the magic in it."""
    parts = list(parts)
    frames = []
    for index, part in enumerate(parts):
        flag = 1 if index == 0 else 3 if index == len(parts) - 1 else 2
        frames.append(struct.pack("<II", recordio.MAGIC, flag << 29 | len(part)) + part + bytes(-len(part) % 4))
    return b"".join(frames)
