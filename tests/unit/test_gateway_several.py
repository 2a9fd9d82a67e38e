"""A local endpoint before several containers: in a row, or called directly (H-32)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests

from byoc_cli.contract import hosting
from byoc_cli.endpoint import Client, InvocationFailed
from byoc_cli.local.gateway import status
from tests.unit.gateway_world import NAME, World, chunked, eventually, on, world
from tests.unit.test_endpoint import Answer, drop, half, reply

HOSTNAMES = ("container-1", "container-2", "container-3")
TARGET = hosting.TARGET_CONTAINER_HEADER


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[World]:
    """Three containers in a row; each says what it was sent, and who it is. A parameter is the seconds they have."""
    with world(hostnames=HOSTNAMES, invocation_timeout=getattr(request, "param", 60.0)) as made:
        for name, server in zip("abc", made.servers, strict=True):
            server.answers = [on("/invocations", echo(name))]
        yield made


@pytest.fixture
def direct() -> Iterator[World]:
    with world(hostnames=("small", "large"), direct=True) as made:
        for name, server in zip("sl", made.servers, strict=True):
            server.answers = [on("/invocations", echo(name))]
        yield made


def echo(name: str) -> Answer:
    """Answer with the body that came, and the name."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"])) + name.encode()
        handler.send_response(200)
        handler.send_header("Content-Type", f"text/{name}")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def post(local: World, body: bytes = b"x", **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(f"{local.url}/invocations", body, headers=named, timeout=60)


# -- in a row ----------------------------------------------------------------------------------------------------------


def test_h32_each_answer_is_the_next_one_s_request(row: World) -> None:
    answer = post(row, b"1,2", Content_Type="text/csv", Accept="text/plain", X_Amzn_SageMaker_Custom_Attributes="a=b")
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (200, b"1,2abc", "text/c")
    came = [row.invocations_of(index)[0] for index in range(3)]
    for headers in came:
        del headers["Host"]
    shared = {"X-Amzn-SageMaker-Custom-Attributes": "a=b"}
    assert came == [
        shared | {"Content-Type": "text/csv", "Content-Length": "3"},
        shared | {"Content-Type": "text/a", "Content-Length": "4"},
        shared | {"Content-Type": "text/b", "Content-Length": "5", "Accept": "text/plain"},
    ]


def test_h32_a_large_request_goes_through_all(row: World) -> None:
    row.server.answers = [reply(200, b"short", "text/a")]
    assert post(row, b"x" * (20 << 20)).content == b"shortbc"
    assert row.invocations[0]["Content-Length"] == str(20 << 20)


@pytest.mark.parametrize(("more", "code"), [(0, 200), (1, 424)])
def test_h32_5_mb_go_from_one_to_the_next(row: World, more: int, code: int) -> None:
    row.servers[1].answers = [reply(200, b"x" * (hosting.BETWEEN_BYTES + more), "text/b")]
    answer = post(row)
    assert answer.status_code == code
    assert len(row.invocations_of(2)) == (code == 200)
    if code == 424:
        assert "client error (413) from container-2 and could not load the entire response body" in answer.text
        with pytest.raises(InvocationFailed) as caught:
            Client(row.url).invoke(b"x", content_type="a/b")
        assert caught.value.message.startswith(
            "the answer of container-2 is larger than 5 MB\nSageMaker hands no more "
        )


def test_h32_the_last_answer_may_be_larger(row: World) -> None:
    row.servers[2].answers = [reply(200, b"x" * (hosting.BETWEEN_BYTES + 1))]
    assert len(post(row).content) == hosting.BETWEEN_BYTES + 1


@pytest.mark.parametrize("index", [0, 1, 2])
def test_h18_the_container_that_fails_is_named_and_no_other_is_asked(row: World, index: int) -> None:
    row.servers[index].answers = [reply(415, b"not csv")]
    answer = post(row)
    name = HOSTNAMES[index]
    assert answer.status_code == 424
    said = answer.json()
    assert (said["OriginalStatusCode"], said["OriginalMessage"]) == (415, "not csv")
    assert said["Message"].startswith(f'Received client error (415) from {name} with message "not csv". See ')
    assert [len(row.invocations_of(each)) for each in range(3)] == [int(each <= index) for each in range(3)]
    with pytest.raises(InvocationFailed) as caught:
        Client(row.url).invoke(b"x", content_type="a/b")
    assert caught.value.message.startswith(
        f"{name} answered 415 to /invocations\nnot csv\nSageMaker would say: ModelError"
    )


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [(drop, "container-2 closed the connection without an answer"), (half, "container-2 broke off in the middle")],
)
def test_h18_a_container_that_hangs_up_is_named(row: World, wrong: Answer, cause: str) -> None:
    row.servers[1].answers = [wrong]
    answer = post(row)
    assert answer.status_code == 424
    assert "Received server error (0) from container-2 with message" in answer.text
    assert answer.headers["X-Byoc-Cause"].startswith(cause)


def test_h23_a_container_that_is_gone_is_named() -> None:
    with socket.socket() as held:  # nobody listens
        held.bind(("127.0.0.1", 0))
        with world(hostnames=("a", "b"), upstreams=(f"127.0.0.1:{held.getsockname()[1]}",) * 2) as local:
            answer = post(local)
    assert (answer.status_code, answer.headers["X-Byoc-Cause"]) == (503, "nothing answers on a's port")


@pytest.mark.parametrize("row", [2.0], indirect=True)
def test_h20_the_time_is_for_all_together(row: World) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(1.2)
        reply()(handler)

    for server in row.servers:
        server.answers = [slow]
    answer = post(row)
    assert answer.status_code == 424
    name = HOSTNAMES[1] if row.invocations_of(1) else HOSTNAMES[0]
    said = answer.json()["Message"]
    assert said.startswith(f"Received server error (0) from {name} with message")
    assert f"waiting for a response from container {name}." in said
    assert answer.headers["X-Byoc-Cause"] == f"no answer within 2 s: {name} had the request"


def test_h45_the_last_one_s_answer_may_be_a_stream(row: World) -> None:
    row.servers[2].answers = [chunked(b"one", b"two")]
    answer = row.boto().invoke_endpoint_with_response_stream(EndpointName=NAME, Body=b"x", Accept="text/plain")
    assert b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"]) == b"onetwo"
    assert ["Accept" in row.invocations_of(index)[0] for index in range(3)] == [False, False, True]
    row.servers[0].answers = [chunked(b"one", b"two")]  # of another it is read whole
    row.servers[2].answers = [echo("c")]
    assert post(row).content == b"onetwobc"


def test_h70_the_first_request_and_the_last_answer_are_captured(tmp_path: Path) -> None:
    with world(hostnames=HOSTNAMES[:2], capture=str(tmp_path / "capture")) as local:
        for name, server in zip("ab", local.servers, strict=True):
            server.answers = [on("/invocations", echo(name))]
        assert post(local, b"1,2", Content_Type="text/csv").content == b"1,2ab"
    (line,) = (tmp_path / "capture").read_text().splitlines()
    sides: dict[str, Any] = json.loads(line)["captureData"]
    assert (sides["endpointInput"]["data"], sides["endpointInput"]["observedContentType"]) == ("1,2", "text/csv")
    assert sides["endpointOutput"]["observedContentType"] == "text/b"


def test_h24_who_is_unhealthy_is_said() -> None:
    with world(hostnames=HOSTNAMES, ping_interval=0.05) as local:
        assert requests.get(f"{local.url}/ping", timeout=60).status_code == 200
        local.servers[1].answers = [on("/ping", reply(503))]
        assert eventually(lambda: bool(local.told.warnings), 30)
        assert local.told.warnings[0][0] == "the endpoint is unhealthy\ncontainer-2: /ping answers 503, not 200"
        assert status.word(local.port, NAME) == "Unhealthy"
        answer = requests.get(f"{local.url}/ping", timeout=60)
        assert (answer.status_code, answer.text) == (503, "container-2: /ping answers 503, not 200")
        local.servers[1].answers = [reply()]
        assert eventually(lambda: bool(local.told.logs), 30)


# -- called directly ---------------------------------------------------------------------------------------------------


def test_h32_a_direct_call_goes_to_the_one_it_names(direct: World) -> None:
    client = direct.boto()
    for name, said in (("small", b"xs"), ("large", b"xl")):
        answer = client.invoke_endpoint(EndpointName=NAME, Body=b"x", TargetContainerHostname=name, Accept="a/b")
        assert answer["Body"].read() == said
    assert [len(direct.invocations_of(index)) for index in range(2)] == [1, 1]
    assert direct.invocations[0][TARGET] == "small"
    assert direct.invocations[0]["Accept"] == "a/b"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, f"Endpoint {NAME} is a multi-container endpoint with direct invocation and requires target container"),
        ({"TargetContainerHostname": "other"}, f"Target container hostname other does not exist in endpoint {NAME}."),
        ({"TargetContainerHostname": "x" * 64}, "Member must have length less than or equal to 63"),
    ],
)
def test_h32_a_direct_call_that_names_none_is_refused(direct: World, given: dict[str, str], said: str) -> None:
    client = direct.boto()
    with pytest.raises(client.exceptions.ValidationError, match=said):
        client.invoke_endpoint(EndpointName=NAME, Body=b"x", **given)
    assert direct.invocations == direct.invocations_of(1) == []


@pytest.mark.parametrize("hostnames", [("primary",), HOSTNAMES])
def test_h32_a_name_where_there_is_nothing_to_choose_is_refused(hostnames: tuple[str, ...]) -> None:
    with world(hostnames=hostnames) as local:
        client = local.boto()
        with pytest.raises(
            client.exceptions.ValidationError, match="does not support target container hostname header"
        ):
            client.invoke_endpoint(EndpointName=NAME, Body=b"x", TargetContainerHostname="container-1")
        assert local.invocations == []
