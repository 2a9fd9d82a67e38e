"""The contract of hosting, to the letter."""

from __future__ import annotations

import pytest

from byoc_cli.contract import hosting


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "client"), (404, "client"), (499, "client"), (500, "server"), (503, "server"), (302, "server")],
)
def test_h18_what_invoke_endpoint_says_of_an_error(status: int, kind: str) -> None:
    expected = f'ModelError: Received {kind} error ({status}) from primary with message "why"'
    assert hosting.model_error(status, "why") == expected


def test_h20_a_time_out_is_a_server_error_0() -> None:
    assert hosting.timeout_error().startswith("ModelError: Received server error (0) from primary with message")
    assert hosting.INVOCATION_TIMEOUT_SECONDS == 60


def test_h27_what_an_endpoint_says_that_never_gets_ready() -> None:
    assert hosting.cannot_start().startswith("CannotStartContainerError.")
    assert "did not pass the ping health check" in hosting.ping_failed()


@pytest.mark.parametrize(
    ("variables", "problems"),
    [
        ({}, []),
        ({"A": "x" * 1024}, []),
        ({"A" * 1024: ""}, []),
        ({f"V{n}": "" for n in range(101)}, ["101 environment variables; at most 100 are allowed (H-08)"]),
        ({"A": "x" * 1025}, ["environment variable 'A': its value has 1025 characters, at most 1,024 (H-08)"]),
        ({"A-B": ""}, ["environment variable 'A-B': a name is letters, digits and '_' (H-08)"]),
        ({"A\n": ""}, ["environment variable 'A\n': a name is letters, digits and '_' (H-08)"]),
        ({f"V{n:02}": "x" * 1021 for n in range(32)}, []),
        ({f"V{n:02}": "x" * 1022 for n in range(32)}, ["the environment is larger than 32 KB (H-08)"]),
    ],
)
def test_h08_limits_of_the_environment(variables: dict[str, str], problems: list[str]) -> None:
    assert hosting.environment_problems(variables) == problems


def test_limits_that_everything_else_takes_from_here() -> None:
    assert (hosting.PORT, hosting.PING_PATH, hosting.INVOCATIONS_PATH) == (8080, "/ping", "/invocations")
    assert (hosting.PING_TIMEOUT_SECONDS, hosting.STARTUP_TIMEOUT_SECONDS) == (2.0, 480.0)
    assert (hosting.STOP_GRACE_SECONDS, hosting.MAX_PAYLOAD_BYTES) == (30, 26_214_400)


def test_h65_an_image_of_a_serverless_endpoint_has_at_most_10_gb() -> None:
    assert hosting.serverless_image_problems(10_737_418_240) == []
    (problem,) = hosting.serverless_image_problems(10_737_418_241)
    assert problem == "Image size 10737418241 is greater than supported size 10737418240 (H-65)"
