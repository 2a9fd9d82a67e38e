"""When a failed push is tried again, and when not: an engine that says what a test wants, a clock of the test's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import docker.errors
import pytest

from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.push_faults import PushFailed
from byoc_cli.engine.sending import ATTEMPTS, Sender
from byoc_cli.engine.types import Credentials

DIGEST = "sha256:" + "d" * 64
THROTTLED = "toomanyrequests: Rate exceeded"
EXPIRED = "denied: Your authorization token has expired. Reauthenticate and try again."

Message = Mapping[str, Any]


def sent(layer: str, done: int) -> Message:
    return {"id": layer, "status": "Pushing", "progressDetail": {"current": done, "total": 9000}}


def ended(layer: str, status: str = "Pushed") -> Message:
    return {"id": layer, "status": status, "progressDetail": {}}


def retrying(layer: str) -> Message:
    return {"id": layer, "status": "Retrying in 5 seconds", "progressDetail": {}}


def end() -> Message:
    return {"status": f"v1: digest: {DIGEST} size: 528"}


@dataclass
class World:
    """docker-py's client as far as a push needs it, and the time. An attempt takes `seconds` and says its messages."""

    attempts: list[tuple[float, list[Message | str]]]
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)
    logins: int = 0

    def push(self, *_: object, auth_config: Mapping[str, str] | None, **__: object) -> Iterator[Message]:
        self.passwords.append((auth_config or {}).get("password", ""))
        seconds, messages = self.attempts.pop(0) if len(self.attempts) > 1 else self.attempts[0]
        for message in messages:
            self.now += seconds / len(messages)
            yield {"error": message} if isinstance(message, str) else message

    def tag(self, *_: object, **__: object) -> None:
        pass

    def inspect_image(self, reference: str) -> None:
        raise docker.errors.ImageNotFound(f"no such image: {reference}")

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def login(self) -> Credentials:
        self.logins += 1
        return Credentials("AWS", f"token {self.logins}")

    def send(self, *, own_login: bool = False) -> str:
        engine = DockerEngine(cast("Any", self))
        login = None if own_login else self.login
        sender = Sender(engine, login, lambda _: None, self.said.append, self.sleep, lambda: self.now)
        return sender.send("sha256:1", "registry/x", "v1")


@pytest.mark.parametrize("error", [THROTTLED, EXPIRED, 'Put "http://x/v2/y": write: broken pipe'])
def test_a_push_that_went_on_for_long_is_tried_again_when_it_breaks_in_the_middle(error: str) -> None:
    layers: list[Message | str] = [sent("aaa", 3000), ended("aaa"), sent("bbb", 3000), sent("bbb", 6000), error]
    world = World([(1200.0, layers), (1.0, [ended("aaa", "Layer already exists"), ended("bbb"), end()])])
    assert world.send() == DIGEST
    assert world.logins == (2 if error == EXPIRED else 1)


def test_a_token_is_renewed_even_after_an_hour_of_silence() -> None:
    world = World([(3600.0, [EXPIRED]), (1.0, [end()])])
    assert world.send() == DIGEST
    assert world.passwords == ["token 1", "token 2"]
    assert (world.pauses, "going on with a new token" in world.said[0]) == ([], True)


def test_where_nothing_goes_on_the_engine_s_own_tries_are_enough() -> None:
    tries = [sent("aaa", 3000), *[retrying("aaa"), sent("aaa", 3000)] * 4]
    world = World([(50.0, [*tries, "unexpected EOF"])])
    with pytest.raises(PushFailed, match="unexpected EOF"):
        world.send()
    # The first attempt got somewhere; the engine's tries since then have taken less than a minute, then more.
    assert world.pauses == [1.0]


def test_a_registry_that_was_silent_for_minutes_before_it_stumbled_is_tried_again() -> None:
    world = World([(300.0, [THROTTLED]), (300.0, [ended("aaa"), THROTTLED]), (300.0, [end()])])
    assert world.send() == DIGEST


def test_attempts_are_counted_from_the_last_progress_on() -> None:
    there = ended("aaa", "Layer already exists")
    some: list[tuple[float, list[Message | str]]] = [
        (1.0, [sent("aaa", done), THROTTLED]) for done in range(1000, 9000, 1000)
    ]
    world = World([*some, (1.0, [there, THROTTLED])])
    with pytest.raises(PushFailed, match="Rate exceeded"):
        world.send()
    # Each of eight attempts got further, and so did the ninth, which found the layer there; then none.
    assert world.pauses == [1.0] * 9 + [2.0, 4.0, 8.0]


def test_a_token_that_is_never_good_is_not_asked_for_for_ever() -> None:
    world = World([(1.0, [EXPIRED])])
    with pytest.raises(PushFailed, match="token has expired"):
        world.send()
    assert world.logins == ATTEMPTS


def test_a_login_of_the_user_s_own_cannot_be_renewed() -> None:
    world = World([(1.0, [EXPIRED])])
    with pytest.raises(PushFailed, match="token has expired"):
        world.send(own_login=True)
    assert len(world.passwords) == 1
