"""A small client of the Debug Adapter Protocol: what an editor does to attach, stop at a line, look and go on."""

from __future__ import annotations

import itertools
import json
import socket
import time
from pathlib import Path
from typing import Any, Self


class Editor:
    """Attached to a debugger on a port of this machine; what it is sent is kept until it is asked for."""

    def __init__(self, port: int, timeout: float = 60) -> None:
        end = time.monotonic() + timeout
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout)
                self._stream = self._socket.makefile("rwb")
                self._numbers = itertools.count(1)
                self._kept: list[dict[str, Any]] = []
                self.ask("initialize", adapterID="byoc", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
            except (OSError, EOFError):  # a port is published before anybody listens behind it
                assert time.monotonic() < end, "no debugger ever listened"
                time.sleep(0.05)
            else:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def attach(self, configuration: dict[str, Any], breakpoints: dict[Path, int]) -> None:
        """Attach as launch.json says, and stop at a line of each file."""
        attaching = self._send("attach", **configuration)
        self.event("initialized")
        for path, line in breakpoints.items():
            set_ = self.ask("setBreakpoints", source={"path": str(path)}, breakpoints=[{"line": line}])
            assert [each["verified"] for each in set_["breakpoints"]] == [True], set_
        self.ask("configurationDone")
        self._answer(attaching)

    def stopped(self) -> tuple[Path, int, int]:
        """Wait for the next stop: file, line, thread."""
        thread = self.event("stopped")["threadId"]
        frame = self.ask("stackTrace", threadId=thread)["stackFrames"][0]
        return Path(frame["source"]["path"]), frame["line"], thread

    def value(self, expression: str, thread: int) -> str:
        """Evaluate an expression where a thread has stopped."""
        frame = self.ask("stackTrace", threadId=thread)["stackFrames"][0]["id"]
        return str(self.ask("evaluate", expression=expression, frameId=frame)["result"])

    def go_on(self, thread: int) -> None:
        self.ask("continue", threadId=thread)

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Make a request and wait for its answer."""
        return self._answer(self._send(command, **arguments))

    def event(self, name: str) -> dict[str, Any]:
        """Wait for an event."""
        return dict(self._next(lambda message: message.get("event") == name).get("body") or {})

    def _send(self, command: str, **arguments: Any) -> int:
        number = next(self._numbers)
        body = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
        self._stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._stream.flush()
        return number

    def _answer(self, number: int) -> dict[str, Any]:
        message = self._next(lambda message: message.get("request_seq") == number)
        assert message["success"], message
        return dict(message.get("body") or {})

    def _next(self, wanted: Any) -> dict[str, Any]:
        for message in self._kept:
            if wanted(message):
                self._kept.remove(message)
                return message
        while True:
            message = self._read()
            if wanted(message):
                return message
            self._kept.append(message)

    def _read(self) -> dict[str, Any]:
        length = 0
        while line := self._stream.readline().strip():
            length = int(line.rpartition(b":")[2])
        if not length:
            raise EOFError
        return dict(json.loads(self._stream.read(length)))
