"""What a batch job is asked for, and what the container is told (H-55 to H-59)."""

from __future__ import annotations

import pytest

from byoc_cli.contract.batch import (
    Asked,
    Parameters,
    environment,
    environment_problems,
    execution_parameters,
    problems,
    resolve,
)


def test_h55_only_what_the_request_sets_is_told() -> None:
    assert environment(Asked()) == {"SAGEMAKER_BATCH": "true"}
    assert environment(Asked(8, "SingleRecord", 0)) == {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "8",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0",
    }
    assert environment(Asked(strategy="MultiRecord"))["SAGEMAKER_BATCH_STRATEGY"] == "MULTI_RECORD"


@pytest.mark.parametrize(
    ("request_", "container", "expected"),
    [
        (Asked(), Asked(), Parameters(1, "MultiRecord", 6)),
        (Asked(), Asked(8, "SingleRecord", 2), Parameters(8, "SingleRecord", 2)),
        (Asked(4, "MultiRecord", 0), Asked(8, "SingleRecord", 2), Parameters(4, "MultiRecord", 0)),
        (Asked(max_payload_mb=0), Asked(8), Parameters(8, "MultiRecord", 0)),
    ],
)
def test_h56_request_over_container_over_defaults(request_: Asked, container: Asked, expected: Parameters) -> None:
    assert resolve(request_, container) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"MaxConcurrentTransforms": 8, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}',
            Asked(8, "MultiRecord", 6),
        ),
        (b'{"BatchStrategy": "SingleRecord", "Other": []}', Asked(None, "SingleRecord", None)),
        (b'{"MaxPayloadInMB": 0, "BatchStrategy": null}', Asked(None, None, 0)),
        (b"{}", Asked()),
    ],
)
def test_h56_execution_parameters(body: bytes, expected: Asked) -> None:
    assert execution_parameters(body) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        pytest.param(b"[" * 60_000, "it is not JSON", id="deep"),
        (b"[]", "it is no JSON object"),
        (b'{"MaxConcurrentTransforms": 0}', "MaxConcurrentTransforms is 0, not a whole number of at least 1"),
        (b'{"MaxConcurrentTransforms": true}', "MaxConcurrentTransforms is true, not"),
        (b'{"MaxPayloadInMB": "6"}', 'MaxPayloadInMB is "6", not a whole number 0 to 100'),
        (b'{"MaxPayloadInMB": 101}', "MaxPayloadInMB is 101, not"),
        (b'{"BatchStrategy": "ALL"}', 'BatchStrategy is "ALL", not SINGLE_RECORD or MULTI_RECORD'),
        (b'{"BatchStrategy": ["ALL"]}', "BatchStrategy is "),
    ],
)
def test_h56_an_answer_that_is_wrong_says_why(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("[", r"\[")):
        execution_parameters(body)


@pytest.mark.parametrize(
    ("concurrent", "payload", "product"), [(1, 100, 0), (100, 1, 0), (500, 0, 0), (17, 6, 102), (2, 51, 102)]
)
def test_h57_concurrency_times_payload(concurrent: int, payload: int, product: int) -> None:
    found = problems(Parameters(concurrent, "MultiRecord", payload))
    assert len(found) == bool(product)
    assert all(f"is {product}; at most 100" in problem for problem in found)


def test_h59_a_transform_job_takes_16_variables() -> None:
    variables = {f"V{number}": "x" for number in range(17)}
    assert environment_problems(variables) == ["17 environment variables; a transform job takes 16 (H-59)"]
    del variables["V0"]
    assert environment_problems(variables) == []
    assert environment_problems({"1": "x"})


def test_parameters_read_as_in_the_platforms_log() -> None:
    assert str(Parameters()) == "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"
