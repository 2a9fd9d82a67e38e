"""A serverless endpoint, as it differs from another (H-65)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from byoc_cli.local.hosting.request import EndpointRequest
from byoc_cli.local.hosting.serverless import Asked, problems, remedy, user
from tests.fakes import FakeEngine


@pytest.fixture
def request_(tmp_path: Path) -> EndpointRequest:
    image = FakeEngine(tmp_path).add_image("x:1")
    return EndpointRequest("e", image, "x:1", Path("/m"), serverless=2048)


def test_h65_its_memory() -> None:
    good = [size for size in range(8193) if not problems(size, Asked())]
    assert good == [1024, 2048, 3072, 4096, 5120, 6144]
    assert problems(1500, Asked()) == [
        "--serverless 1500: its memory is one of 1024, 2048, 3072, 4096, 5120, 6144 MB (H-65)"
    ]


@pytest.mark.parametrize("good", [Asked(), Asked(gpus="none"), Asked(startup_timeout=180)])
def test_h65_what_it_can_have(good: Asked) -> None:
    assert problems(1024, good) == []


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (Asked(gpus="1"), "--serverless with --gpus: a serverless endpoint has no GPU (H-65)"),
        (
            Asked(network_isolation=True),
            "--serverless with --network-isolation: a serverless endpoint cannot be isolated (H-65)",
        ),
        (
            Asked(instance_type="ml.m5.large"),
            "--serverless with --instance-type: a serverless endpoint has no instance, only memory (H-65)",
        ),
        (Asked(data_capture=True), "--serverless with --data-capture: a serverless endpoint captures nothing (H-65)"),
        (
            Asked(startup_timeout=180.5),
            "--serverless with --startup-timeout 180.5: /ping has to pass within 180 s (H-65)",
        ),
    ],
)
def test_h65_what_it_cannot_have(asked: Asked, problem: str) -> None:
    assert problems(1024, asked) == [problem]


def test_h65_it_runs_as_nobody_that_an_image_knows() -> None:
    users = {user() for _ in range(100)}
    assert len(users) > 90
    for each in users:
        uid, gid = map(int, each.split(":"))
        assert uid == gid
        assert 100_000 <= uid < 1_000_000


def test_h11_h21_its_limits_are_its_own(request_: EndpointRequest) -> None:
    assert (request_.seconds_to_start, request_.max_payload) == (180, 4 << 20)
    assert replace(request_, startup_timeout=5).seconds_to_start == 5
    other = replace(request_, serverless=0)
    assert (other.seconds_to_start, other.max_payload) == (480, 25 << 20)
    assert replace(other, startup_timeout=600).seconds_to_start == 600


@pytest.mark.parametrize(
    "said",
    [
        "Traceback\nPermissionError: [Errno 13] Permission denied: '/opt/app/pid'\n",
        "sh: 1: cannot create /opt/x: Permission denied",
        'nginx: [emerg] open() "/run/nginx.pid" failed (13: Permission denied)',
        "Error: EACCES: open '/app/cache'",
        'exec: "serve": permission denied',
    ],
)
def test_h65_what_to_do_where_it_may_not_write(request_: EndpointRequest, said: str) -> None:
    assert remedy(request_, said) == (
        "a serverless container is not root: `RUN chmod -R o+rwX PATH` in the Dockerfile for what it uses (H-65)"
    )
    assert remedy(replace(request_, serverless=0), said) == ""


def test_h65_a_model_that_only_its_owner_may_read(request_: EndpointRequest) -> None:
    said = "PermissionError: [Errno 13] Permission denied: '/opt/ml/model/weights'"
    assert remedy(request_, said).endswith("let everybody read the model (chmod -R o+rX /m)")


def test_other_last_words_tell_nothing(request_: EndpointRequest) -> None:
    assert remedy(request_, "ImportError: no module") == remedy(request_, "") == ""
