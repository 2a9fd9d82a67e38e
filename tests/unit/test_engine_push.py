"""A push's messages, as three engines send them, and what a registry's words mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from byoc_cli.engine.push import LayerProgress, follow
from byoc_cli.engine.push_faults import LoginRefused, PushFailed, RegistryUnreachable, push_fault
from byoc_cli.errors import MachineError

DIGEST = "sha256:" + "d" * 64
REFERS = {"status": "The push refers to repository [localhost:5000/x]"}
END = {"status": f"v1: digest: {DIGEST} size: 528"}

Message = Mapping[str, Any]

CLASSIC: list[Message] = [
    REFERS,
    {"status": "Preparing", "progressDetail": {}, "id": "aaa"},
    {"status": "Waiting", "progressDetail": {}, "id": "bbb"},
    {"status": "Pushing", "progressDetail": {"current": 512, "total": 2000}, "progress": "[>  ]", "id": "aaa"},
    {"status": "Layer already exists", "progressDetail": {}, "id": "bbb"},
    {"status": "Pushing", "progressDetail": {"current": 3584}, "progress": "3.5kB", "id": "aaa"},
    {"status": "Pushing", "progressDetail": {"current": 3584, "total": 2000}, "id": "aaa"},
    {"status": "Pushed", "progressDetail": {}, "id": "aaa"},
    END,
    {"progressDetail": {}, "aux": {"Tag": "v1", "Digest": DIGEST, "Size": 528}},
]
CONTAINERD: list[Message] = [
    REFERS,
    {"status": "Pushing", "progressDetail": {"current": 32, "total": 64}, "id": "aaa"},
    {"status": "Pushed", "progressDetail": {}, "id": "aaa"},
    END,
]
PODMAN: list[Message] = [{"status": "pushing"}, END]


@pytest.mark.parametrize("stream", [CLASSIC, CONTAINERD, PODMAN])
def test_the_digest_is_found_in_both_of_its_forms(stream: list[Message]) -> None:
    assert follow(stream, lambda _: None) == DIGEST


def test_an_engine_that_says_no_digest() -> None:
    assert follow([REFERS], lambda _: None) == ""


def test_layers_are_followed_and_never_have_more_than_all_of_it() -> None:
    seen: list[LayerProgress] = []
    follow(CLASSIC, seen.append)
    assert [at for at in seen if at.layer == "aaa"] == [
        LayerProgress("aaa", "Preparing"),
        LayerProgress("aaa", "Pushing", 512, 2000),
        LayerProgress("aaa", "Pushing", 3584, 3584),
        LayerProgress("aaa", "Pushing", 3584, 3584),
        LayerProgress("aaa", "Pushed"),
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"error": "denied: no", "errorDetail": {"message": "denied: no"}},
        {"errorDetail": {"message": "denied: no"}},
        {"error": "denied: no"},
    ],
)
def test_an_error_in_the_stream_is_an_error(message: dict[str, object]) -> None:
    with pytest.raises(PushFailed, match="the push failed\ndenied: no"):
        follow([REFERS, message, END], lambda _: None)


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        ("name unknown: The repository with name 'x' does not exist", PushFailed, "make the repository first"),
        ("tag invalid: The image tag 'x' already exists", PushFailed, "tags of this repository are immutable"),
        ("no basic auth credentials", LoginRefused, "the registry does not know this login"),
        ("unauthorized: authentication required", LoginRefused, "the registry does not know this login"),
        ("denied: requested access to the resource is denied", PushFailed, "the registry denies it"),
        ("write /var/lib/registry: no space left on device", PushFailed, "the registry's disk is full"),
        ("unexpected HTTP status: 500 no space left on device", PushFailed, "the registry's disk is full"),
        ("unexpected HTTP status: 507 Insufficient Storage", PushFailed, "the registry's disk is full"),
        ("x509: certificate signed by unknown authority", RegistryUnreachable, "the engine does not trust"),
        ("server gave HTTP response to HTTPS client", RegistryUnreachable, "the registry speaks HTTP"),
        ("dial tcp: lookup x on 1.2.3.4:53: no such host", RegistryUnreachable, "the engine cannot reach"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", RegistryUnreachable, "the engine cannot reach"),
        ("error parsing HTTP 403 response body: invalid '<'", RegistryUnreachable, "not the registry but"),
        ("An image does not exist locally with the tag: x", PushFailed, "byoc build"),
        ("something nobody has seen", PushFailed, ""),
    ],
)
def test_what_no_second_try_mends(said: str, kind: type[PushFailed], hint: str) -> None:
    fault = push_fault(said)
    assert (type(fault), fault.passing, fault.expired) == (kind, False, False)
    assert fault.message == f"the push failed\n{said}"
    assert fault.hint.startswith(hint)
    assert bool(fault.hint) == bool(hint)
    assert fault.exit_code == (3 if issubclass(kind, MachineError) else 1)


@pytest.mark.parametrize(
    "said",
    [
        "toomanyrequests: Rate exceeded",
        "received unexpected HTTP status: 429 Too Many Requests",
        "received unexpected HTTP status: 500 Internal Server Error",
        "error parsing HTTP 502 response body: invalid character '<' looking for beginning of value",
        "received unexpected HTTP status: 503 Service Unavailable",
        'Patch "http://x/v2/y": write tcp 127.0.0.1:1->127.0.0.1:2: write: connection reset by peer',
        'Put "http://x/v2/y": write: broken pipe',
        'Put "http://x/v2/y": EOF',
        "unexpected EOF",
        "net/http: TLS handshake timeout",
        "read tcp 1.2.3.4:5->6.7.8.9:10: i/o timeout",
        "unknown: unknown error",
    ],
)
def test_what_passes(said: str) -> None:
    fault = push_fault(said)
    assert (fault.passing, fault.expired) == (True, False)
    assert "run it again: what went up stays there" in fault.hint


@pytest.mark.parametrize(
    "said",
    [
        "denied: Your authorization token has expired. Reauthenticate and try again.",
        "unauthorized: Your Authorization Token has expired. Reauthenticate and try again.",
    ],
)
def test_a_token_that_has_expired_is_worth_a_new_one(said: str) -> None:
    fault = push_fault(said)
    assert (fault.passing, fault.expired) == (True, True)
