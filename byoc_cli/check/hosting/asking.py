"""HTTP to the container under test: whatever happens is an `Answer`, nothing is raised."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from byoc_cli.contract import hosting

_MOST_BYTES = 32 << 20
REFUSED = "nothing listens there"


@dataclass(frozen=True)
class Place:
    """Where a container answers."""

    host: str
    port: int


@dataclass(frozen=True)
class Answer:
    """What was answered; status 0 is no answer, and `why` says why not.

    `connected` is how long the connection took, `first` when the first byte of the body came, `seconds` the whole.
    """

    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    connected: float = 0.0
    first: float = 0.0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The beginning of the body, on one line."""
        return " ".join(self.body[:2000].decode(errors="replace").split())[:200]

    @property
    def content_type(self) -> str:
        """Its Content-Type, "" for none."""
        return self.headers.get("content-type", "")

    @property
    def told(self) -> str:
        """In a few words, for a finding."""
        if not self.status:
            return self.why
        return f"{self.status}" + (f": {self.text}" if self.text else " with an empty body")


@dataclass(frozen=True)
class Request:
    """What is posted to /invocations."""

    body: bytes
    content_type: str
    accept: str = ""
    what: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """As a call of InvokeEndpoint has them."""
        return {"Content-Type": self.content_type, "Accept": self.accept or "*/*"}


class Call:
    """One request on a connection of its own, which may be held back in the middle of its body."""

    def __init__(self, place: Place, timeout: float) -> None:
        self._connection = http.client.HTTPConnection(place.host, place.port, timeout=timeout)
        self._timeout = timeout
        self._start = time.monotonic()
        self._connected = 0.0
        self._why = ""

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, keep: int = 0) -> None:
        """Send all but the last `keep` bytes of the body."""
        try:
            self._connection.connect()
            self._connected = time.monotonic() - self._start
            self._connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                self._connection.putheader(name, value)
            if body or method == "POST":
                self._connection.putheader("Content-Length", str(len(body)))
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it has read all
                self._connection.endheaders(body[: len(body) - keep])
        except (OSError, http.client.HTTPException) as error:
            self._why = _why(error, self._timeout)

    def more(self, body: bytes) -> None:
        """Send the rest."""
        with suppress(OSError, http.client.HTTPException):
            self._connection.send(body)

    def answer(self) -> Answer:
        """Read the answer, and close."""
        try:
            return Answer(why=self._why, seconds=self._seconds) if self._why else self._read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(why=_why(error, self._timeout), connected=self._connected, seconds=self._seconds)
        finally:
            self._connection.close()

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._start

    def _read(self) -> Answer:
        response = self._connection.getresponse()
        parts: list[bytes] = []
        first, size = 0.0, 0
        while part := response.read1(1 << 16):
            first = first or self._seconds
            parts.append(part)
            size += len(part)
            if size > _MOST_BYTES or self._seconds > self._timeout:
                break
        if self._seconds > self._timeout:
            raise TimeoutError
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, b"".join(parts), headers, "", self._connected, first, self._seconds)


def _why(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, ConnectionRefusedError):
        return REFUSED
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError | http.client.IncompleteRead):
        return "the connection was closed without an answer"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is no HTTP ({type(error).__name__})"
    return str(error)


def ask(
    place: Place, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, timeout: float
) -> Answer:
    """Ask once."""
    call = Call(place, timeout)
    call.send(method, path, body, headers or {})
    return call.answer()


def ping(place: Place, timeout: float = hosting.PING_TIMEOUT_SECONDS) -> Answer:
    """Ask /ping as the platform does (H-10, H-24)."""
    return ask(place, "GET", hosting.PING_PATH, headers={"User-Agent": hosting.PING_USER_AGENT}, timeout=timeout)


def invoke(
    place: Place,
    request: Request,
    *,
    more: Mapping[str, str] | None = None,
    timeout: float = hosting.INVOCATION_TIMEOUT_SECONDS,
) -> Answer:
    """Post to /invocations."""
    return ask(
        place, "POST", hosting.INVOCATIONS_PATH, request.body, request.headers | dict(more or {}), timeout=timeout
    )


def connect_seconds(place: Place, timeout: float = hosting.PING_TIMEOUT_SECONDS) -> float:
    """How long a connection takes; the timeout where there is none by then."""
    start = time.monotonic()
    with suppress(OSError), socket.create_connection((place.host, place.port), timeout):
        return time.monotonic() - start
    return timeout
