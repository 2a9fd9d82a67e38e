"""HTTP to a container: a real server in a thread, good and bad."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest

from byoc_cli.endpoint import Client, InvocationFailed, url
from byoc_cli.errors import ByocError, MachineError, UsageError

Answer = Callable[[BaseHTTPRequestHandler], None]


def reply(status: int = 200, body: bytes = b"{}", content_type: str = "application/json") -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


class Server:
    """Answers every request with the next of `answers`, the last one for ever; remembers what came."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [reply()]
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                outer.asked.append((f"{self.command} {self.path}", dict(self.headers)))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                answer(self)

            do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names of the base class

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that went away

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.client = Client(url(self.http.server_port))

    def close(self) -> None:
        self.client.close()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def nobody() -> Iterator[Client]:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        client = Client(url(held.getsockname()[1]))
        yield client
        client.close()


# -- invoke ------------------------------------------------------------------------------------------------------------


def test_an_answer_comes_back_whole(server: Server) -> None:
    server.answers = [reply(201, b"\x00\xff", "application/x-npy")]
    response = server.client.invoke(b"body", content_type="text/csv", accept="x/y", headers={"X-Mine": "1"})
    assert (response.status, response.body, response.content_type) == (201, b"\x00\xff", "application/x-npy")
    assert 0 < response.seconds < 60
    what, headers = server.asked[0]
    assert what == "POST /invocations"
    assert (headers["Content-Type"], headers["Accept"], headers["X-Mine"]) == ("text/csv", "x/y", "1")
    assert headers["Content-Length"] == "4"


def test_without_a_wish_anything_is_accepted(server: Server) -> None:
    server.client.invoke(b"", content_type="text/csv")
    assert server.asked[0][1]["Accept"] == "*/*"


@pytest.mark.parametrize("end", ["", "/", "/invocations"])
def test_the_url_may_name_the_server_or_the_invocations(server: Server, end: str) -> None:
    client = Client(server.client.base + end)
    client.invoke(b"", content_type="text/csv")
    client.close()
    assert server.asked[0][0] == "POST /invocations"


@pytest.mark.parametrize(
    ("status", "kind"), [(302, "server"), (400, "client"), (404, "client"), (500, "server"), (503, "server")]
)
def test_h18_an_error_is_told_in_both_words(server: Server, status: int, kind: str) -> None:
    server.answers = [reply(status, b" wrong shape\n")]
    with pytest.raises(InvocationFailed) as caught:
        server.client.invoke(b"", content_type="text/csv")
    assert caught.value.message == (
        f"the container answered {status} to /invocations\nwrong shape\n"
        f'SageMaker would say: ModelError: Received {kind} error ({status}) from primary with message "wrong shape"'
    )
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("body", "shown"), [(b"", "(an empty body)"), (b"\xff", "\ufffd"), (b"x" * 100_000, "x" * 2000)]
)
def test_an_error_s_body_is_shown_within_reason(server: Server, body: bytes, shown: str) -> None:
    server.answers = [reply(500, body)]
    with pytest.raises(InvocationFailed) as caught:
        server.client.invoke(b"", content_type="text/csv")
    assert caught.value.message.splitlines()[1] == shown


def drop(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def half(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"5\r\nhel")
    handler.close_connection = True


def short(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"hel")
    handler.close_connection = True


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (drop, "closed the connection without an answer"),
        (half, "broke off in the middle"),
        (short, "broke off in the middle"),
    ],
)
def test_a_connection_that_ends_too_early(server: Server, answer: Answer, message: str) -> None:
    server.answers = [answer]
    with pytest.raises(InvocationFailed, match=message):
        server.client.invoke(b"x", content_type="text/csv")


def test_nobody_there_is_the_machine_s_fault(nobody: Client) -> None:
    with pytest.raises(MachineError) as caught:
        nobody.invoke(b"", content_type="text/csv")
    assert caught.value.message == f"nothing answers at {nobody.base}\nthe connection was refused"
    assert caught.value.hint == "byoc serve"


def eventually_closed(server: Server) -> None:
    """Wait until the end of a connection has come to us."""

    def came() -> bool:
        closed = [each for each in psutil.Process().net_connections("tcp") if each.status == psutil.CONN_CLOSE_WAIT]
        return any(each.raddr.port == server.http.server_port for each in closed)

    deadline = time.monotonic() + 60
    while not came():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(server: Server) -> None:
    def once(handler: BaseHTTPRequestHandler) -> None:
        reply()(handler)
        handler.close_connection = True

    server.answers = [once, reply(200, b"again")]
    server.client.invoke(b"", content_type="text/csv")
    eventually_closed(server)
    assert server.client.invoke(b"", content_type="text/csv").body == b"again"


def test_a_proxy_of_the_environment_has_no_say(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    client = Client(server.client.base)
    assert client.invoke(b"", content_type="text/csv").status == 200
    client.close()


@pytest.mark.parametrize("base", ["http://", "nonsense", "ftp://127.0.0.1:1"])
def test_a_url_that_is_none(base: str) -> None:
    client = Client(base)
    with pytest.raises(ByocError) as caught:
        client.invoke(b"", content_type="text/csv")
    assert "--url" in caught.value.hint
    client.close()


@pytest.mark.parametrize("base", ["http://[", "ftp://127.0.0.1:1"])
def test_a_url_that_nobody_can_ask_is_wrong_usage(base: str) -> None:
    client = Client(base)
    with pytest.raises(UsageError, match=re.escape(f"'{base}' is not a URL")):
        client.invoke(b"", content_type="text/csv")
    client.close()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"A": "日"}, "the value of 'A' has a character that no header may have"),
        ({"A": "b\nEvil: 1"}, "the value of 'A' has a character that no header may have"),
        ({"A": "\x7f"}, "the value of 'A' has a character that no header may have"),
        ({"bad name": "x"}, "'bad name' is not the name of a header"),
        ({"": "x"}, "'' is not the name of a header"),
    ],
)
def test_a_header_that_http_has_not_is_refused_before_anything_is_sent(
    server: Server, headers: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        server.client.invoke(b"", content_type="text/csv", headers=headers)
    assert caught.value.message == said
    with pytest.raises(UsageError):
        server.client.invoke(b"", content_type="text/日")
    assert server.asked == []


def test_a_header_may_be_latin(server: Server) -> None:
    server.client.invoke(b"", content_type="text/csv", headers={"X-A": "é\tb"})
    assert server.asked[0][1]["X-A"] == "é\tb"


# -- ping --------------------------------------------------------------------------------------------------------------


def test_ping(server: Server) -> None:
    server.answers = [reply(204), reply(503)]
    assert server.client.ping() == (204, "")
    assert server.client.ping() == (503, "")
    assert server.asked[0][0] == "GET /ping"


def redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "/ping")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def test_h12_a_redirect_is_not_followed(server: Server) -> None:
    server.answers = [redirect, reply(200)]
    assert server.client.ping() == (302, "")
    server.answers = [redirect, reply(200)]
    with pytest.raises(InvocationFailed, match="the container answered 302"):
        server.client.invoke(b"", content_type="text/csv")


def test_ping_of_nobody(nobody: Client) -> None:
    assert nobody.ping() == (0, "nothing answers on the port")


def test_ready_is_a_200_and_nothing_else(server: Server) -> None:
    server.answers = [drop, reply(503), reply(204), reply(404), reply(200)]
    assert server.client.wait_until_ready(5, lambda: None) < 2
    assert len(server.asked) == 5


def test_it_is_polled_quickly_at_first(server: Server) -> None:
    server.answers = [*[reply(503)] * 20, reply(200)]
    assert server.client.wait_until_ready(5, lambda: None) < 1


@pytest.mark.parametrize("status", [503, 404])
def test_not_ready_in_time_says_what_the_last_ping_saw(server: Server, status: int) -> None:
    server.answers = [reply(status)]
    with pytest.raises(ByocError) as caught:
        server.client.wait_until_ready(0.05, lambda: None)
    lines = caught.value.message.splitlines()
    assert lines[0] == "the endpoint did not become ready within 0 s"
    assert lines[1] == f"/ping answers {status}, not 200"
    assert "did not pass the ping health check" in lines[2]
    assert "0.0.0.0:8080" in caught.value.hint


def test_not_ready_with_nobody_there(nobody: Client) -> None:
    with pytest.raises(ByocError, match="nothing answers on the port"):
        nobody.wait_until_ready(0.05, lambda: None)


def test_waiting_ends_at_once_when_the_container_is_dead(nobody: Client) -> None:
    def alive() -> None:
        raise ByocError("it is dead")

    start = time.monotonic()
    with pytest.raises(ByocError, match="it is dead"):
        nobody.wait_until_ready(480, alive)
    assert time.monotonic() - start < 100


def sleep(handler: BaseHTTPRequestHandler) -> None:
    """Answer, but later than anybody waits."""
    time.sleep(0.2)
    reply()(handler)


def test_a_slow_ping_is_no_ping_and_a_slow_invocation_says_what_the_cloud_says(server: Server) -> None:
    server.answers = [sleep]
    impatient = Client(server.client.base, ping_timeout=0.05, invocation_timeout=0.05)
    assert impatient.ping() == (0, "no answer within 0.05 s")
    with pytest.raises(InvocationFailed, match=r"no answer within 0\.05 s\n.*Your invocation timed out"):
        impatient.invoke(b"{}", content_type="application/json")
    impatient.close()


def trickle(handler: BaseHTTPRequestHandler) -> None:
    """Answer in time, byte by byte, and not come to an end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b" ")
        time.sleep(0.05)
    handler.close_connection = True


def slow_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    for number in range(1000):
        handler.send_header(f"X-{number}", "")
        handler.flush_headers()
        time.sleep(0.05)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize("answer", [trickle, slow_headers])
def test_h20_the_limit_is_for_the_whole_answer(server: Server, answer: Answer) -> None:
    server.answers = [answer]
    client = Client(server.client.base, invocation_timeout=0.4)
    start = time.monotonic()
    with pytest.raises(InvocationFailed, match=r"no answer within 0\.4 s\n.*Your invocation timed out"):
        client.invoke(b"{}", content_type="application/json")
    assert time.monotonic() - start < 25
    client.close()
