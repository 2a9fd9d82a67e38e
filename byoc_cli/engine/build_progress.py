"""What the builders say while they build, turned into four events."""

from __future__ import annotations

import base64
import calendar
import json
import re
import time
from collections.abc import Mapping
from typing import Any, Protocol


class BuildWatcher(Protocol):
    """Is told what a build does; `step` is an opaque id, `title` what the Dockerfile says."""

    def started(self, step: str, title: str) -> None:
        """Begin a step: "[venv 2/5] RUN pip install …"."""

    def output(self, step: str, text: str) -> None:
        """Hand on what the step prints, in pieces."""

    def finished(self, step: str, seconds: float, *, cached: bool) -> None:
        """End a step well."""

    def failed(self, step: str, error: str) -> None:
        """End a step badly: the builder's own words."""


class RawJson:
    """`docker buildx build --progress=rawjson`: JSON objects, one a line or (buildx 0.13) indented over many.

    A line that is no JSON (the closing "ERROR: failed to build: …") is kept in `rest`.
    """

    def __init__(self, watcher: BuildWatcher) -> None:
        self.watcher = watcher
        self.rest: list[str] = []
        self._open: list[str] = []
        self._started: set[str] = set()
        self._ended: set[str] = set()

    def feed(self, line: str) -> None:
        """Take one line."""
        if not self._open and not line.startswith("{"):
            self.rest.append(line)
            return
        self._open.append(line)
        # Indented objects end with a brace in the first column; nothing else can.
        if line != "}" and not (len(self._open) == 1 and line.endswith("}")):
            return
        text, self._open = "\n".join(self._open), []
        try:
            status = json.loads(text)
        except ValueError:
            self.rest.append(text)
            return
        for vertex in status.get("vertexes") or []:
            self._vertex(vertex)
        for log in status.get("logs") or []:
            self.watcher.output(log["vertex"], base64.b64decode(log.get("data") or "").decode(errors="replace"))

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        step = vertex["digest"]
        if step not in self._started and (vertex.get("started") or vertex.get("cached")):
            self._started.add(step)
            self.watcher.started(step, vertex.get("name", ""))
        if step in self._ended or not vertex.get("completed"):
            return
        self._ended.add(step)
        if vertex.get("error"):
            self.watcher.failed(step, vertex["error"])
        else:
            seconds = _seconds(vertex["completed"]) - _seconds(vertex.get("started") or vertex["completed"])
            self.watcher.finished(step, seconds, cached=bool(vertex.get("cached")))


class Plain:
    """`--progress=plain`, for clients without rawjson: "#5 [2/3] RUN x", "#5 0.15 text", "#5 DONE 0.2s"."""

    def __init__(self, watcher: BuildWatcher) -> None:
        self.watcher = watcher
        self.rest: list[str] = []
        self._started: set[str] = set()
        self._repeated = False

    def feed(self, line: str) -> None:
        """Take one line."""
        # Between two such rules an old client says again what a step that failed printed last.
        self._repeated ^= line == "------"
        found = re.match(r"#(\d+) (.*)", line)
        if not found or self._repeated:
            self.rest.append(line)
            return
        step, text = found[1], found[2]
        if step not in self._started:
            self._started.add(step)
            self.watcher.started(step, text)
        elif text == "CACHED":
            self.watcher.finished(step, 0.0, cached=True)
        elif done := re.fullmatch(r"DONE (\d+\.\d+)s", text):
            self.watcher.finished(step, float(done[1]), cached=False)
        elif text.startswith("ERROR: "):
            self.watcher.failed(step, text.removeprefix("ERROR: "))
        elif log := re.match(r"(\d+\.\d+) ?(.*)", text):
            self.watcher.output(step, log[2] + "\n")


class Classic:
    """The classic API's stream: "Step 2/3 : RUN x", its output, "Using cache", an error object.

    `container` is the id of the container that the engine runs the open step in; "" where it has none.
    """

    def __init__(self, watcher: BuildWatcher) -> None:
        self.watcher = watcher
        self.container = ""
        self._step = ""
        self._since = 0.0
        self._cached = False

    def feed(self, message: Mapping[str, Any]) -> None:
        """Take one message, decoded."""
        if message.get("error"):
            self.watcher.failed(self._step, str(message["error"]))
            return
        # The classic builder colours what goes to stderr.
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(message.get("stream") or ""))
        if step := re.match(r"Step (\d+/\d+) : (.*)", text):
            self.end()
            self.container = ""
            self._step, self._since, self._cached = step[1], time.monotonic(), False
            self.watcher.started(self._step, f"[{step[1]}] {step[2].strip()}")
        elif running := re.match(r" ---> Running in ([0-9a-f]+)", text):
            self.container = running[1]
        elif " ---> Using cache" in text:
            self._cached = True
        elif text and not re.match(r"( --->|Removing intermediate|Successfully )", text):
            self.watcher.output(self._step, text)

    def end(self) -> None:
        """Close the step that is open."""
        if self._step:
            self.watcher.finished(self._step, time.monotonic() - self._since, cached=self._cached)
            self._step = ""


def _seconds(stamp: str) -> float:
    """Seconds since the epoch of BuildKit's RFC 3339 in UTC with up to nine digits of fraction."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole[:19], "%Y-%m-%dT%H:%M:%S")) + float(
        "0." + re.sub(r"\D.*", "", fraction or "0")
    )
