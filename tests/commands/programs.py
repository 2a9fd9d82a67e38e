"""Programs of the images that the tests of commands run."""

from __future__ import annotations

import json
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
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

    with HTTPServer(("127.0.0.1", box.port(8080)), Handler) as server:
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
