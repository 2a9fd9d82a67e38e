"""InvokeEndpointAsync, to the letter of the API model."""

from __future__ import annotations

import pytest

from byoc_cli.contract import asynchronous
from byoc_cli.contract.asynchronous import AsyncInferenceConfig, Invalid, read

CONFIG = AsyncInferenceConfig("s3://out/put", "file:///failures/")
INPUT = {"X-Amzn-SageMaker-InputLocation": "s3://in/put.csv"}


def test_h50_defaults() -> None:
    made = read(INPUT, b"", CONFIG, "id")
    assert (made.ttl, made.timeout) == (21_600, 900)
    assert (made.inference_id, made.input, made.headers) == ("id", "s3://in/put.csv", {})
    assert (made.output, made.failure) == ("s3://out/put/id.out", "file:///failures/id-error.out")
    assert asynchronous.MAX_INPUT_BYTES == 1_073_741_824


def test_h50_what_a_request_says() -> None:
    given = {
        "X-Amzn-SageMaker-Content-Type": "text/csv",
        "X-Amzn-SageMaker-Accept": "application/json",
        "X-Amzn-SageMaker-Custom-Attributes": "a",
        "X-Amzn-SageMaker-Inference-Id": "mine/1",
        "X-Amzn-SageMaker-RequestTTLSeconds": "60",
        "X-Amzn-SageMaker-InvocationTimeoutSeconds": "3600",
        "X-Amzn-SageMaker-S3OutputPathExtension": "a/b",
        "X-Amzn-SageMaker-Filename": "x.json",
        "Content-Type": "application/octet-stream",
        "User-Agent": "Boto3",
    }
    made = read(given, b"body", CONFIG, "id")
    assert (made.ttl, made.timeout, made.inference_id, made.body, made.input) == (60, 3600, "mine/1", b"body", "")
    assert made.output == "s3://out/put/a/b/x.json"
    assert made.failure == "file:///failures/id-error.out", "of ours: what a caller calls it may come twice"
    assert made.headers == {
        "Content-Type": "text/csv",
        "Accept": "application/json",
        "X-Amzn-SageMaker-Custom-Attributes": "a",
        "X-Amzn-SageMaker-Inference-Id": "mine/1",
    }


@pytest.mark.parametrize(
    ("changes", "body", "said"),
    [
        (
            {"RequestTTLSeconds": "59"},
            b"",
            "Value '59' at 'requestTTLSeconds' failed to satisfy constraint: Member must",
        ),
        ({"RequestTTLSeconds": "21601"}, b"", "value less than or equal to 21600"),
        ({"RequestTTLSeconds": "x"}, b"", "'requestTTLSeconds'"),
        ({"InvocationTimeoutSeconds": "0"}, b"", "value greater than or equal to 1"),
        ({"InvocationTimeoutSeconds": "3601"}, b"", "value less than or equal to 3600"),
        ({"InvocationTimeoutSeconds": "1.5"}, b"", "'invocationTimeoutSeconds'"),
        ({"InputLocation": ""}, b"", "Provide exactly one of them"),
        ({}, b"x", "Provide exactly one of them"),
        ({"InputLocation": ""}, b"x" * 128_001, "at 'body' failed to satisfy constraint: Member must have length"),
        ({"InputLocation": "https://bucket.s3.amazonaws.com/key"}, b"", "'inputLocation'"),
        ({"InputLocation": "/etc/passwd"}, b"", "'inputLocation'"),
        ({"InputLocation": "s3:///key"}, b"", "'inputLocation'"),
        ({"InputLocation": "s3://bucket"}, b"", "'inputLocation'"),
        ({"InputLocation": "file://host/path"}, b"", "'inputLocation'"),
        ({"InputLocation": "s3://b/" + "k" * 1024}, b"", "length less than or equal to 1024"),
        ({"InputLocation": "s3://b/ü"}, b"", "ASCII"),
        ({"Filename": "a.b.c"}, b"", "'filename'"),
        ({"Filename": "a/b"}, b"", "'filename'"),
        ({"Filename": "x" * 33}, b"", "length less than or equal to 32"),
        ({"S3OutputPathExtension": "s3://elsewhere"}, b"", "'s3OutputPathExtension'"),
        ({"S3OutputPathExtension": "a b"}, b"", "'s3OutputPathExtension'"),
        ({"S3OutputPathExtension": "a/../../b"}, b"", "must not lead out"),
    ],
)
def test_h50_what_is_refused(changes: dict[str, str], body: bytes, said: str) -> None:
    headers = INPUT | {f"X-Amzn-SageMaker-{name}": value for name, value in changes.items()}
    with pytest.raises(Invalid) as caught:
        read({name: value for name, value in headers.items() if value}, body, CONFIG, "id")
    error = caught.value.error
    assert (error.code, error.status) == ("ValidationError", 400)
    assert error.message.startswith("1 validation error detected: Value ")
    assert said in error.message


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("s3://bucket", True),
        ("s3://bucket/a/b/", True),
        ("s3://B/a", False),
        ("s3:///a", False),
        ("s3://x", False),
        ("s3://bucket/" + "a" * 501, False),
    ],
)
def test_h50_where_answers_may_go(path: str, good: bool) -> None:
    assert (asynchronous.path_problem(path) == "") is good


def test_as_describe_endpoint_has_it() -> None:
    assert CONFIG.described == {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
        "OutputConfig": {"S3OutputPath": "s3://out/put", "S3FailurePath": "file:///failures/"},
    }
