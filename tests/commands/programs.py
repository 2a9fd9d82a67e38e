"""Programs of the images that the tests of commands run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

from byoc_cli.engine.types import Exit, Stream
from tests.fakes import Box

Printed = Generator[tuple[Stream, bytes], None, int | Exit]


def train(box: Box) -> Printed:
    """Prints two losses, writes its hyperparameters as the model."""
    config = box.path("/opt/ml/input/config/hyperparameters.json").read_bytes()
    yield "stdout", b"loss=2.0\n"
    yield "stderr", b"loss=1.0"
    box.path("/opt/ml/model/config.json").write_bytes(config)
    return 0


def fail(box: Box) -> Printed:
    """Fails with a cause, its last line without a newline."""
    box.path("/opt/ml/output/failure").write_text("no data")
    yield "stderr", b"Traceback"
    return 3


def serve(box: Box) -> Printed:
    """Answers /ping, and /invocations with the request's length; "bad" in the body is a 400, "lie" no JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(200, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if b"bad" in body:
                self._reply(400, b"wrong shape")
            elif b"lie" in body:
                self._reply(200, b"<html>")
            else:
                self._reply(200, json.dumps({"bytes": len(body), "type": self.headers["Content-Type"]}).encode())

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    with HTTPServer((box.address, box.port(8080)), Handler) as server:
        server.timeout = 0.02
        yield "stdout", b"serving\n"
        while not box.signals:
            server.handle_request()
            box.check()
    yield "stdout", b"bye\n"
    return 0


def die(_: Box) -> Printed:
    """Ends before it is ready."""
    yield "stderr", b"no model\n"
    return 5


def transform(box: Box) -> Printed:
    """Answers as a batch job wants it: PARAMETERS to /execution-parameters, a body in capitals, `env` with its own.

    A body with "bad" in it is a 400, one with "die" its end, one with "wait" takes until a signal comes.
    """
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parameters = box.environment.get("PARAMETERS", "")
            self._reply(200 if self.path == "/ping" or parameters else 404, parameters.encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if b"die" in body:
                ended.set()
                return
            if b"wait" in body:
                while not box.signals:
                    time.sleep(0.01)
                return
            if b"bad" in body:
                self._reply(400, b"no number")
            else:
                self._reply(200, json.dumps(box.environment).encode() if body == b"env" else body.upper())

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer((box.address, box.port(8080)), Handler) as server:
        server.timeout = 0.02
        yield "stdout", b"loading\nserving\n"
        while not box.signals and not ended.is_set():
            server.handle_request()
            box.check()
    yield "stderr", b"Segmentation fault\n" if ended.is_set() else b"bye\n"
    return 7 if ended.is_set() else 0
