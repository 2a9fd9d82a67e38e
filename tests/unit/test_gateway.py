"""The local endpoint: its limits, what gets through it, and what it says when something is wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests

from byoc_cli.contract import hosting
from byoc_cli.endpoint import Client, InvocationFailed
from byoc_cli.errors import UsageError
from byoc_cli.local.gateway import status
from byoc_cli.local.gateway.capture import Capture
from byoc_cli.local.gateway.health import Health
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.gateway.upstream import Upstreams
from tests.fakes import Told
from tests.unit.gateway_world import NAME, World, chunked, eventually, on, world
from tests.unit.test_endpoint import Server, drop, half, reply

MB = 1024 * 1024


@pytest.fixture
def local() -> Iterator[World]:
    with world() as made:
        made.server.answers = [on("/invocations", reply(200, b'{"ok": true}'))]
        yield made


def post(local: World, body: object = b"x", path: str = "/invocations", **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(local.url + path, data=body, headers=named, timeout=60)  # type: ignore[arg-type]


# -- what gets through -------------------------------------------------------------------------------------------------


def test_h16_of_a_call_s_headers_the_documented_ones_arrive_and_nothing_else(local: World) -> None:
    passed = {
        "Content-Type": "text/csv",
        "Accept": "application/json",
        "X-Amzn-SageMaker-Custom-Attributes": "a=b; c",
        "X-Amzn-SageMaker-Target-Variant": "AllTraffic",
        "X-Amzn-SageMaker-Inference-Id": "id-1",
        "X-Amzn-SageMaker-Enable-Explanations": "`true`",
        "X-Amzn-SageMaker-Inference-Component": "component",
        "X-Amzn-SageMaker-Session-Id": "NEW_SESSION",
    }
    cut = {"X-Mine": "1", "Cookie": "a=b", "Authorization": "secret", "User-Agent": "me", "Accept-Encoding": "gzip"}
    answer = requests.post(local.url + "/invocations", b"1,2", headers=passed | cut, timeout=60)
    assert answer.json() == {"ok": True}
    (came,) = local.invocations
    assert came == passed | {"Host": f"127.0.0.1:{local.server.http.server_port}", "Content-Length": "3"}


def test_h16_what_a_call_has_not_is_not_added(local: World) -> None:
    with socket.create_connection(("127.0.0.1", local.port)) as raw:
        raw.sendall(b"POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
        while raw.recv(1000):
            pass
    assert set(local.invocations[0]) == {"Host", "Content-Length"}


def test_h17_of_an_answer_s_headers_the_documented_ones_come_back(local: World) -> None:
    given = {
        "Content-Type": "text/csv; charset=utf-8",
        "X-Amzn-SageMaker-Custom-Attributes": "from the model",
        "X-Amzn-SageMaker-New-Session-Id": "s; Expires=2030-01-01T00:00:00Z",
        "X-Amzn-SageMaker-Closed-Session-Id": "t",
    }

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(1)
        handler.send_response(201)
        for name, value in (given | {"Set-Cookie": "a=b", "X-Mine": "1", "Content-Length": "2"}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"ok")

    local.server.answers = [answer]
    got = post(local)
    assert (got.status_code, got.content) == (200, b"ok")
    own = {"x-Amzn-Invoked-Production-Variant": "AllTraffic"}
    assert {name: got.headers[name] for name in given | own} == given | own
    assert set(got.headers) - set(given | own) == {"x-amzn-RequestId", "Content-Length", "Date", "Server"}


def test_h17_a_control_character_in_an_answer_s_header_is_left_out(local: World) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(1)
        handler.send_response(200)
        handler.send_header("X-Amzn-SageMaker-Custom-Attributes", "a\x01b")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    local.server.answers = [answer]
    got = post(local)
    assert (got.status_code, got.headers["X-Amzn-SageMaker-Custom-Attributes"]) == (200, "a b")


@pytest.mark.parametrize(
    "said",
    [
        b"POST /invocations HTTP/1.1\r\nHost: h\r\nAuthorization: " + b"x" * 9000 + b"\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n",
    ],
    ids=["a header too long", "no length", "no chunk"],
)
def test_a_caller_that_does_not_speak_http_is_refused_without_a_word(
    local: World, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", local.port), timeout=60) as raw:
        raw.sendall(said)
        assert b" 400 Bad Request\r\n" in raw.recv(1000)
    local.gateway.end()
    assert caplog.messages == []


@pytest.mark.parametrize("size", [0, 1, 5 * MB, hosting.MAX_PAYLOAD_BYTES])
@pytest.mark.parametrize("in_chunks", [False, True])
def test_h15_bodies_arrive_whole_and_with_their_length(local: World, size: int, in_chunks: bool) -> None:
    came: list[bytes] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        came.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    local.server.answers = [answer]
    body = bytes(range(256)) * (size // 256) + b"\xff" * (size % 256)
    sent = iter([body[: size // 2], body[size // 2 :]]) if in_chunks and size > 1 else body
    assert post(local, sent).status_code == 200
    assert came == [body]
    assert "Transfer-Encoding" not in local.invocations[0]
    assert len(local.told.warnings) == (size > 6 * MB)


def test_a_client_that_asks_first_is_told_to_go_on(local: World) -> None:
    with socket.create_connection(("127.0.0.1", local.port), timeout=60) as raw:
        raw.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert raw.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(b"x")
        assert raw.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_chunks", [False, True])
def test_h21_more_than_25_mb_is_refused_as_the_platform_does(local: World, in_chunks: bool) -> None:
    body = b"x" * (hosting.MAX_PAYLOAD_BYTES + 1)
    got = post(local, iter([body[:-1], body[-1:]]) if in_chunks else body)
    assert (got.status_code, got.json()) == (413, {"message": "HTTP content length exceeded 26214400 bytes."})
    assert local.invocations == []


@pytest.mark.parametrize("in_chunks", [False, True])
def test_h21_a_serverless_endpoint_takes_4_mb(in_chunks: bool) -> None:
    with world(max_payload=hosting.SERVERLESS_MAX_PAYLOAD_BYTES) as local:
        body = b"x" * (4 * MB + 1)
        got = post(local, iter([body[:-1], body[-1:]]) if in_chunks else body)
        assert (got.status_code, got.json()) == (413, {"message": "HTTP content length exceeded 4194304 bytes."})
        assert got.headers["x-byoc-cause"] == "the request is larger than 4 MB (H-21)"
        assert post(local, iter([body[1:]]) if in_chunks else body[1:]).status_code == 200
        assert len(local.invocations) == 1
        local.server.answers = [reply(200, body)]
        got = post(local)
        assert got.headers["x-byoc-cause"] == "the answer is larger than 4 MB (H-22)"


def test_h21_more_than_6_mb_is_said_once(local: World) -> None:
    for _ in range(2):
        assert post(local, b"x" * (6 * MB + 1)).status_code == 200
    ((said, _),) = local.told.warnings
    assert said.startswith("a request of 6.0 MB\nSageMaker takes 25 MB")


def test_h16_custom_attributes_have_a_limit(local: World) -> None:
    assert post(local, X_Amzn_SageMaker_Custom_Attributes="x" * 1024).status_code == 200
    for name, value, member in (
        ("X_Amzn_SageMaker_Custom_Attributes", "x" * 1025, "customAttributes"),
        ("X_Amzn_SageMaker_Custom_Attributes", "caf\xe9", "customAttributes"),
        ("X_Amzn_SageMaker_Inference_Id", "x" * 65, "inferenceId"),
    ):
        got = post(local, **{name: value})
        assert (got.status_code, got.headers["x-amzn-errortype"]) == (400, "ValidationError")
        assert f"at '{member}' failed to satisfy constraint: Member must" in got.json()["Message"]
    assert len(local.invocations) == 1


def test_h20_an_answer_has_its_time() -> None:
    with world(invocation_timeout=0.1) as local:

        def slow(handler: BaseHTTPRequestHandler) -> None:
            time.sleep(0.3)
            reply()(handler)

        local.server.answers = [slow]
        got = post(local)
    assert (got.status_code, got.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert got.json()["OriginalStatusCode"] == 0
    assert got.json()["Message"].startswith(
        'Received server error (0) from primary with message "Your invocation timed out while waiting for a response '
        "from container primary. Review"
    )
    assert got.headers["x-byoc-cause"] == "no answer within 0.1 s"


def test_h20_an_answer_that_trickles_has_no_more_time_than_another() -> None:
    with world(invocation_timeout=0.2) as local:

        def trickle(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "8")
            handler.end_headers()
            for _ in range(8):
                time.sleep(0.05)
                handler.wfile.write(b"x")
            handler.close_connection = True

        local.server.answers = [trickle]
        assert post(local).json()["OriginalStatusCode"] == 0


def test_h22_an_answer_is_limited_as_a_request_is(local: World) -> None:
    local.server.answers = [reply(200, b"x" * hosting.MAX_PAYLOAD_BYTES), reply(200, b"x" * 26 * MB)]
    assert len(post(local).content) == hosting.MAX_PAYLOAD_BYTES
    got = post(local)
    assert (got.status_code, got.json()["OriginalStatusCode"]) == (424, 413)
    assert "(413) from primary and could not load the entire response body. See https" in got.json()["Message"]


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [(400, "client", "CLIENT_ERROR"), (503, "server", "INTERNAL_FAILURE"), (302, "server", "INTERNAL_FAILURE")],
)
def test_h18_what_is_not_2xx_is_a_model_error(local: World, code: int, kind: str, word: str) -> None:
    local.server.answers = [reply(code, b"wrong shape", "text/plain")]
    got = post(local)
    assert (got.status_code, got.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert got.json() == {
        "Message": f'Received {kind} error ({code}) from primary with message "wrong shape". See '
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        f"#logEventViewer:group=/aws/sagemaker/Endpoints/{NAME} in account 000000000000 for more information.",
        "OriginalStatusCode": code,
        "OriginalMessage": "wrong shape",
        "LogStreamArn": f"arn:aws:logs:us-east-1:000000000000:log-group:/aws/sagemaker/Endpoints/{NAME}",
        "ErrorCode": f"{word}_FROM_MODEL",
    }


def test_a_container_that_hangs_up_gives_no_response(local: World) -> None:
    for answer, cause in ((drop, "closed the connection without an answer"), (half, "broke off in the middle")):
        local.server.answers = [answer]
        got = post(local, path=f"/endpoints/{NAME}/invocations")
        assert (got.status_code, got.json()["OriginalStatusCode"]) == (424, 0)
        assert f"could not get a response from the {NAME} endpoint" in got.json()["Message"]
        assert cause in got.headers["x-byoc-cause"]


def test_a_container_that_is_not_there_is_not_available(local: World) -> None:
    local.server.http.shutdown()
    local.server.http.socket.close()
    got = post(local)
    assert (got.status_code, got.headers["x-amzn-errortype"]) == (503, "ServiceUnavailable")


def test_other_paths_are_no_operations(local: World) -> None:
    for method, path in (
        ("GET", "/invocations"),
        ("POST", "/"),
        ("GET", "/x%0d%0ay"),
        ("DELETE", f"/endpoints/{NAME}"),
    ):
        got = requests.request(method, local.url + path, timeout=60)
        assert (got.status_code, got.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")
    assert local.invocations == []


def test_predict_s_client_says_what_happened_here_and_there(local: World) -> None:
    client = Client(local.url)
    for answer, said in (
        (reply(500, b"wrong shape"), "the container answered 500 to /invocations\nwrong shape\nSageMaker would say: "),
        (drop, "the container closed the connection without an answer\nSageMaker would say: ModelError: Received "),
    ):
        local.server.answers = [answer]
        with pytest.raises(InvocationFailed) as caught:
            client.invoke(b"x", content_type="text/csv")
        assert caught.value.message.startswith(said)
    with pytest.raises(InvocationFailed) as caught:
        client.invoke(b"x" * (25 * MB + 1), content_type="text/csv")
    assert caught.value.message == (
        "the request is larger than 25 MB (H-21)\n"
        "SageMaker would say: 413: HTTP content length exceeded 26214400 bytes."
    )
    client.close()


# -- health ------------------------------------------------------------------------------------------------------------


def test_ping_is_the_container_s(local: World) -> None:
    for code in (200, 204, 503):
        local.server.answers = [reply(code, b"")]
        assert requests.get(f"{local.url}/ping", timeout=60).status_code == code
        assert requests.post(f"{local.url}/ping", timeout=60).status_code == code
    assert local.server.asked[-1][0] == "POST /ping"
    local.server.answers = [drop]
    assert requests.get(f"{local.url}/ping", timeout=60).status_code == 503


def test_nobody_is_let_through_before_it_is_ready() -> None:
    with world(ready=False) as local:
        assert status.word(local.port, NAME) == "Creating"
        got = post(local)
        assert (got.status_code, got.headers["x-byoc-cause"]) == (503, "the container is not ready yet")
        local.gateway.ready()
        assert eventually(lambda: status.word(local.port, NAME) == "InService")
        assert post(local).status_code == 200
        assert status.word(local.port, "another") == status.UNREACHABLE
    assert status.word(local.port, NAME) == status.UNREACHABLE


def test_h24_pings_go_on_and_what_changes_is_said_once() -> None:
    with world(ping_interval=0.05, ping_timeout=30) as local:
        assert eventually(lambda: len(local.server.asked) > 3)
        assert {headers["User-Agent"] for _, headers in local.server.asked} == {"AHC/2.0"}
        local.server.answers = [reply(503)]
        assert eventually(lambda: status.word(local.port, NAME) == "Unhealthy")
        time.sleep(0.2)
        local.server.answers = [reply(200)]
        assert eventually(lambda: status.word(local.port, NAME) == "InService")
    ((said, hint),) = local.told.warnings
    assert said == "the endpoint is unhealthy\n/ping answers 503, not 200"
    assert "2 s" in hint
    assert local.told.logs == ["the endpoint is healthy again: /ping answers 200"]


def test_h10_a_ping_that_is_late_is_unhealthy() -> None:
    def late(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        reply()(handler)

    with world(ping_interval=0.05, ping_timeout=0.1) as local:
        local.server.answers = [late]
        assert eventually(lambda: bool(local.told.warnings))
    assert local.told.warnings[0][0] == "the endpoint is unhealthy\nno answer within 0.1 s"


def test_a_container_that_is_stopped_need_not_be_healthy() -> None:
    with world(ping_interval=0.05) as local:
        local.gateway.ending()
        local.server.answers = [reply(503)]
        assert eventually(lambda: status.word(local.port, NAME) == "Unhealthy")
    assert local.told.warnings == []


def test_h13_a_connection_that_takes_long_is_said_once() -> None:
    class Slow(Upstreams):
        async def ping(self, method: str = "GET") -> tuple[int, str]:  # noqa: ARG002 - the base class has it
            self.all[0].accept_seconds = 0.3
            return 200, ""

    async def watch() -> None:
        settings = Settings(NAME, ("127.0.0.1:1",), ping_interval=0.01)
        async with Slow(settings) as upstreams:
            health = Health(upstreams, settings, told)
            health.start()
            await asyncio.sleep(0.1)
            await health.stop()

    told = Told()
    asyncio.run(watch())
    assert told.warnings == [("the container took 300 ms to accept a connection", "SageMaker waits 250 ms (H-13)")]


# -- streams and capture -----------------------------------------------------------------------------------------------


def test_h45_a_streamed_answer_comes_as_it_is_made(local: World) -> None:
    read = threading.Semaphore(0)
    local.server.answers = [chunked(b"one", b"two", b"three", go_on=lambda: read.acquire(timeout=30))]
    parts = []
    with requests.post(f"{local.url}/invocations", b"x", stream=True, timeout=60) as answer:
        for part in answer.iter_content(None):  # the container waits until each is here
            parts.append(part)
            read.release()
    assert parts == [b"one", b"two", b"three"]


def test_h46_a_streamed_answer_that_breaks_breaks_here_too(local: World) -> None:
    local.server.answers = [chunked(b"one", end=False)]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post(local)


def test_h70_data_capture(tmp_path: Path) -> None:
    file = tmp_path / "capture.jsonl"
    with world(capture=str(file)) as local:
        local.server.answers = [
            reply(200, b'{"a": 1}'),
            reply(200, b"\x00\xff", "image/png"),
            chunked(b"0.", b"5\n", content_type="text/csv; charset=utf-8"),
            reply(500),
            reply(200, b"", "text/plain"),
        ]
        post(local, b"1,2\n", Content_Type="text/csv", X_Amzn_SageMaker_Inference_Id="id-1")
        post(local, b"\xff", Content_Type="application/json")
        assert post(local, b"{}", Content_Type="application/json").content == b"0.5\n"
        post(local, b"failed")
        assert post(local, b"1", Content_Type="caf\xe9").status_code == 200
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 4
    assert lines[3]["captureData"]["endpointInput"]["observedContentType"] == "caf?"
    assert lines[0]["captureData"] == {
        "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2\n", "encoding": "CSV"},
        "endpointOutput": {
            "observedContentType": "application/json",
            "mode": "OUTPUT",
            "data": '{"a": 1}',
            "encoding": "JSON",
        },
    }
    assert lines[0]["eventVersion"] == "0"
    assert lines[0]["eventMetadata"]["inferenceId"] == "id-1"
    assert set(lines[1]["eventMetadata"]) == {"eventId", "inferenceTime"}
    sides = [(line["captureData"]["endpointInput"], line["captureData"]["endpointOutput"]) for line in lines[1:3]]
    assert [(one["data"], one["encoding"]) for pair in sides for one in pair] == [
        ("/w==", "BASE64"),
        ("AP8=", "BASE64"),
        ("{}", "JSON"),
        ("0.5\n", "CSV"),
    ]


def test_h70_what_cannot_be_captured_is_answered_all_the_same() -> None:
    with world(capture="/dev/full") as local:
        assert [post(local, b"1").status_code for _ in range(2)] == [200, 200]
    ((said, _),) = local.told.warnings
    assert said == "an invocation was not captured\n/dev/full: No space left on device"


def test_a_capture_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--data-capture .* cannot be written"):
        Capture(tmp_path / "nowhere" / "file")


@pytest.mark.parametrize("path", ["/invocations", f"/endpoints/{NAME}/invocations-response-stream"])
def test_h45_a_caller_that_has_read_enough_is_no_error(caplog: pytest.LogCaptureFixture, path: str) -> None:
    ended = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        try:
            chunked(*[b"x"] * 3000, pause=0.01)(handler)  # longer than anybody listens
        finally:
            ended.set()

    with world(answer) as local:
        with requests.post(local.url + path, b"x", stream=True, timeout=60) as answered:
            assert next(answered.iter_content(1))
        assert ended.wait(60)
        assert post(local, path="/").status_code == 404
    assert caplog.messages == []


def test_a_caller_that_goes_away_while_it_sends_is_no_error(local: World, caplog: pytest.LogCaptureFixture) -> None:
    for size in (2, 2 * MB):
        with socket.create_connection(("127.0.0.1", local.port), timeout=60) as raw:
            raw.sendall(b"POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\nx" % size)
    local.gateway.end()
    assert caplog.messages == []


# -- another container in its place ------------------------------------------------------------------------------------


def test_after_a_move_the_next_go_to_the_new_one_and_the_old_one_gives_what_it_began(local: World) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def held(handler: BaseHTTPRequestHandler) -> None:
        begun.set()
        assert go_on.wait(30)
        reply(200, b'"old"')(handler)

    local.server.answers = [on("/invocations", held)]
    answers: list[object] = []
    caller = threading.Thread(target=lambda: answers.append(post(local).json()))
    caller.start()
    assert begun.wait(30)
    other = Server()
    other.answers = [on("/invocations", reply(200, b'"new"'))]
    answered = local.gateway.move([f"127.0.0.1:{other.http.server_port}"])
    assert eventually(lambda: post(local).json() == "new", 30)
    assert not answered.done()
    go_on.set()
    answered.result(30)
    caller.join()
    assert answers == ["old"]
    assert requests.get(local.url + "/ping", timeout=20).status_code == 200
    assert other.asked[-1][0] == "GET /ping"
    other.close()


def test_a_move_with_nothing_at_work_is_done_at_once_and_the_new_one_is_healthy() -> None:
    with world(ping_interval=0.01) as local:
        local.server.answers = [reply(503)]
        assert eventually(lambda: status.word(local.port, NAME) == "Unhealthy", 30)
        other = Server()
        local.gateway.move([f"127.0.0.1:{other.http.server_port}"]).result(30)
        assert eventually(lambda: status.word(local.port, NAME) == "InService", 30)
        assert eventually(lambda: any(what == "GET /ping" for what, _ in other.asked), 30)
        local.gateway.end()
        other.close()
