"""An unmodified SDK client talks to the local endpoint, and takes it for SageMaker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError, EventStreamError

from byoc_cli.local.gateway import eventstream
from tests.unit.gateway_world import NAME, World, chunked, world
from tests.unit.test_endpoint import drop, reply


@pytest.fixture
def local() -> Iterator[World]:
    with world() as made:
        yield made


def test_invoke_endpoint(local: World) -> None:
    local.server.answers = [reply(200, b"0.5\n", "text/csv")]
    answer = local.boto().invoke_endpoint(
        EndpointName=NAME,
        Body=b"1,2",
        ContentType="text/csv",
        Accept="text/csv",
        CustomAttributes="a=b",
        InferenceId="i",
    )
    assert answer["Body"].read() == b"0.5\n"
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/csv", "AllTraffic")
    (came,) = local.invocations
    del came["Host"]
    assert came == {
        "Content-Type": "text/csv",
        "Accept": "text/csv",
        "Content-Length": "3",
        "X-Amzn-SageMaker-Custom-Attributes": "a=b",
        "X-Amzn-SageMaker-Inference-Id": "i",
    }


def test_h18_a_model_error_is_the_sdk_s(local: World) -> None:
    local.server.answers = [reply(400, b"wrong shape")]
    client = local.boto()
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName=NAME, Body=b"x")
    error: Any = caught.value.response
    assert (error["OriginalStatusCode"], error["OriginalMessage"]) == (400, "wrong shape")
    assert error["LogStreamArn"].endswith(f":log-group:/aws/sagemaker/Endpoints/{NAME}")
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert str(caught.value).startswith(
        "An error occurred (ModelError) when calling the InvokeEndpoint operation: Received client error (400) from "
        'primary with message "wrong shape". See https://'
    )


@pytest.mark.parametrize("operation", ["invoke_endpoint", "invoke_endpoint_with_response_stream"])
def test_h23_an_unknown_endpoint_is_a_validation_error(local: World, operation: str) -> None:
    client = local.boto()
    with pytest.raises(client.exceptions.ValidationError, match=r"Endpoint other of account 000000000000 not found\."):
        getattr(client, operation)(EndpointName="other", Body=b"x")
    assert local.invocations == []


def test_h21_too_large_has_a_status_and_no_name(local: World) -> None:
    with pytest.raises(ClientError) as caught:
        local.boto().invoke_endpoint(EndpointName=NAME, Body=b"x" * (25 * 2**20 + 1))
    assert str(caught.value) == (
        "An error occurred (413) when calling the InvokeEndpoint operation: "
        "HTTP content length exceeded 26214400 bytes."
    )


def test_h23_nobody_there_is_service_unavailable(local: World) -> None:
    local.server.http.shutdown()
    local.server.http.socket.close()
    client = local.boto(Config(retries={"total_max_attempts": 1}))
    with pytest.raises(client.exceptions.ServiceUnavailable):
        client.invoke_endpoint(EndpointName=NAME, Body=b"x")


# -- streams -----------------------------------------------------------------------------------------------------------


def test_h45_a_stream_of_parts(local: World) -> None:
    read = threading.Semaphore(0)
    local.server.answers = [chunked(b"one", b"two", go_on=lambda: read.acquire(timeout=30))]
    answer = local.boto().invoke_endpoint_with_response_stream(
        EndpointName=NAME, Body=b"x", Accept="text/plain", ContentType="text/csv"
    )
    parts = []
    for event in answer["Body"]:  # the container waits until each is here
        parts.append(event["PayloadPart"]["Bytes"])
        read.release()
    assert parts == [b"one", b"two"]
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/plain", "AllTraffic")
    assert local.invocations[0]["Accept"] == "text/plain"


def test_h45_an_answer_in_one_piece_is_a_stream_too(local: World) -> None:
    local.server.answers = [reply(200, b"all")]
    answer = local.boto().invoke_endpoint_with_response_stream(EndpointName=NAME, Body=b"x")
    assert b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"]) == b"all"


def test_an_error_before_the_stream_is_a_model_error(local: World) -> None:
    client = local.boto()
    for answer, code in ((reply(500, b"no"), 500), (drop, 0)):
        local.server.answers = [answer]
        with pytest.raises(client.exceptions.ModelError) as caught:
            client.invoke_endpoint_with_response_stream(EndpointName=NAME, Body=b"x")
        assert caught.value.response["OriginalStatusCode"] == code


@pytest.mark.parametrize(
    ("seconds", "said"), [(60.0, "broke off its answer"), (2.0, "not end its answer within 2 seconds")]
)
def test_h46_a_broken_stream_is_a_model_stream_error(seconds: float, said: str) -> None:
    late = threading.Event()
    with world(chunked(b"one", end=False, go_on=lambda: seconds > 2 or late.wait(60)), stream_timeout=seconds) as local:
        answer = local.boto().invoke_endpoint_with_response_stream(EndpointName=NAME, Body=b"x")
        events = iter(answer["Body"])
        assert next(events)["PayloadPart"]["Bytes"] == b"one"
        with pytest.raises(EventStreamError) as caught:
            list(events)
        answer["Body"].close()
        late.set()
    # Of ErrorCode, which tells the two apart, botocore makes nothing.
    error: Any = caught.value.response["Error"]
    assert error["Code"] == "ModelStreamError"
    assert said in error["Message"]


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 4096])
def test_frames_are_read_by_an_sdk_s_decoder(data: bytes) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.payload_part(data) + eventstream.stream_error("StreamBroken", "grüße"))
    part, error = list[Any](buffer)
    assert part.payload == data
    assert part.headers[":event-type"] == "PayloadPart"
    assert error.headers[":exception-type"] == "ModelStreamError"
    assert error.payload == b'{"Message": "gr\\u00fc\\u00dfe", "ErrorCode": "StreamBroken"}'
