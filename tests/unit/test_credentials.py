"""The credentials endpoint of a job: who is answered, what an AWS SDK makes of it, what is left (T-28)."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.credentials import ContainerProvider, Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from byoc_cli.cloud.container_credentials import ContainerCredentials
from byoc_cli.errors import MachineError, UsageError
from byoc_cli.local.credentials import PLACES, Place, Provider, credentials_access, served
from byoc_cli.local.training import TrainingJob
from byoc_cli.local.training.hosts import job_hosts
from byoc_cli.local.training.inputs import HostInputs
from byoc_cli.project import Project
from tests.fakes import FakeEngine, Told

GIVEN = {
    "AccessKeyId": "AKIAEXAMPLE",
    "SecretAccessKey": "SECRET-MARKER",
    "Token": "TOKEN-MARKER",
    "Expiration": "2099-01-01T00:00:00Z",
}
HERE = (Place("127.0.0.0/28", "127.0.0.2"), Place("127.0.0.16/28", "127.0.0.23"))  # both are this machine
KEY, SECRET = "AKIAUSEREXAMPLE1", "SECRET-MARKER"


def given() -> Mapping[str, str]:
    return GIVEN


def get(environment: Mapping[str, str], path: str = "", **headers: str) -> tuple[int, Any]:
    url = urlsplit(environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=60)
    try:
        connection.request("GET", path or url.path, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def token(environment: Mapping[str, str]) -> str:
    return environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]


# -- who is answered ---------------------------------------------------------------------------------------------------


def test_who_has_the_token_is_given_the_credentials() -> None:
    with served(given, "127.0.0.1", print) as environment:
        assert get(environment, Authorization=token(environment)) == (200, GIVEN)


@pytest.mark.parametrize("wrong", ["", "Bearer x", "grüezi", "SECRET-MARKER"])
def test_who_has_not_is_refused(wrong: str) -> None:
    with served(given, "127.0.0.1", print) as environment:
        headers = {"Authorization": wrong} if wrong else {}
        status, answer = get(environment, **headers)
        assert (status, answer["code"]) == (403, "AccessDenied")
        assert "MARKER" not in json.dumps(answer)
        assert get(environment, "/", **headers)[0] == 403, "without the token nobody learns which paths there are"


def test_any_other_path_is_none() -> None:
    with served(given, "127.0.0.1", print) as environment:
        for path in ("/", "/v2/credentials/", urlsplit(environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]).path + "x"):
            status, answer = get(environment, path, Authorization=token(environment))
            assert (status, answer["code"]) == (404, "NotFound")


def test_every_endpoint_has_a_path_and_a_token_of_its_own() -> None:
    with served(given, "127.0.0.1", print) as first, served(given, "127.0.0.1", print) as second:
        assert set(first.values()).isdisjoint(second.values())
        assert get(first, Authorization=token(second))[0] == 403


def test_a_provider_that_fails_tells_the_container_each_time_and_the_user_once() -> None:
    said: list[str] = []

    def expired() -> Mapping[str, str]:
        raise MachineError("the token has expired")

    with served(expired, "127.0.0.1", said.append) as environment:
        for _ in range(2):
            status, answer = get(environment, Authorization=token(environment))
            assert (status, answer["message"]) == (500, "the token has expired")
    assert said == ["the container gets no AWS credentials: the token has expired"]


def test_who_hangs_up_disturbs_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with served(given, "127.0.0.1", print) as environment:
        url = urlsplit(environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
        for words in (b"", b"GET", b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\n"):
            with socket.create_connection((str(url.hostname), url.port or 0)) as connection:
                connection.sendall(words)
        assert get(environment, Authorization=token(environment))[0] == 200
    assert capfd.readouterr() == ("", "")


def test_after_the_job_nobody_listens() -> None:
    with served(given, "127.0.0.1", print) as environment:
        pass
    with pytest.raises(ConnectionRefusedError):
        get(environment, Authorization=token(environment))


# -- an AWS SDK --------------------------------------------------------------------------------------------------------


def own(credentials: Any, profile: str = "default") -> ContainerCredentials:
    return ContainerCredentials(lambda: (credentials, profile))


def test_botocore_takes_them() -> None:
    with served(own(Credentials(KEY, SECRET, "TOKEN")), "127.0.0.1", print) as environment:
        found = ContainerProvider(environ=dict(environment)).load()
        assert found is not None
        assert tuple(found.get_frozen_credentials())[:3] == (KEY, SECRET, "TOKEN")
        assert not found.refresh_needed(), "what was just asked for is good for a while"
        with pytest.raises(CredentialRetrievalError, match="403"):
            ContainerProvider(environ=dict(environment) | {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "x"}).load()


def test_both_places_are_what_botocore_trusts() -> None:
    from botocore.utils import ContainerMetadataFetcher

    for place in PLACES:
        ContainerMetadataFetcher()._validate_allowed_url(f"http://{place.gateway}:1/x")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="Unsupported host"):
        ContainerMetadataFetcher()._validate_allowed_url("http://172.17.0.1:1/x")  # type: ignore[attr-defined]


# -- whose they are ----------------------------------------------------------------------------------------------------


def _left(answer: Mapping[str, str]) -> timedelta:
    return datetime.fromisoformat(answer["Expiration"]) - datetime.now(UTC)


def test_a_user_s_lasting_key_is_asked_for_again_and_has_no_token() -> None:
    answer = own(Credentials(KEY, SECRET))()
    assert set(answer) == set(GIVEN)
    assert (answer["AccessKeyId"], answer["SecretAccessKey"], answer["Token"]) == (KEY, SECRET, "")
    assert timedelta(minutes=15) < _left(answer) <= timedelta(minutes=20)


def test_keys_that_a_tool_has_written_anew_are_found() -> None:
    keys = iter([Credentials("AKIA1", "a"), Credentials("AKIA2", "b"), Credentials("AKIA3", "c")])
    provider = ContainerCredentials(lambda: (next(keys), "default"))
    assert [provider()["AccessKeyId"] for _ in range(2)] == ["AKIA2", "AKIA3"]


def _renewed(lives: Callable[[int], timedelta]) -> RefreshableCredentials:
    """Credentials of which the first have expired; the n-th are good for `lives(n)`."""
    count = 0

    def renew() -> dict[str, str]:
        nonlocal count
        count += 1
        end = datetime.now(UTC) + lives(count)
        return {
            "access_key": f"ASIA{count}",
            "secret_key": "s",
            "token": f"t{count}",
            "expiry_time": end.isoformat(),
        }

    expired = datetime.now(UTC) - timedelta(hours=1)
    return RefreshableCredentials("ASIA0", "s", "t0", expired, renew, "sso")


def test_credentials_are_renewed_when_they_expire() -> None:
    # botocore renews what is good for less than 10 minutes; the second is good for an hour.
    provider = own(_renewed(lambda count: timedelta(minutes=5 if count == 1 else 60)))
    first, second = provider(), provider()
    assert (first["AccessKeyId"], first["Token"]) == ("ASIA2", "t2"), "the first were used up by looking whose they are"
    assert second == first
    assert timedelta(minutes=59) < _left(first) <= timedelta(minutes=60)


def test_credentials_that_cannot_be_renewed() -> None:
    with pytest.raises(MachineError, match="your AWS credentials cannot be used") as caught:
        own(_renewed(lambda _: timedelta(hours=-1)))
    assert "aws sso login" in caught.value.hint


@pytest.mark.parametrize(
    ("method", "whose"),
    [
        ("env", "those of the environment, access key …PLE1"),
        ("shared-credentials-file", "those of the profile 'dev', access key …PLE1"),
        ("sso", "those of the profile 'dev', access key …PLE1"),
        ("iam-role", "those of this machine's role, access key …PLE1"),
    ],
)
def test_whose_they_are_is_said_without_a_secret(method: str, whose: str) -> None:
    assert own(Credentials(KEY, SECRET, method=method), "dev").whose == whose


def test_the_user_s_own_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="there are no AWS credentials"):
        ContainerCredentials()
    (tmp_path / "credentials").write_text(f"[dev]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "dev")
    assert ContainerCredentials().whose == "those of the profile 'dev', access key …PLE1"
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(UsageError, match="other"):
        ContainerCredentials()


# -- the place ---------------------------------------------------------------------------------------------------------


class World:
    def __init__(self, folder: Path) -> None:
        self.engine = FakeEngine(folder / "engine")
        self.project = Project(root=folder, image="my-model")
        self.told = Told()

    def access(self, job: str = "job-1", provider: Provider | None = given, places: Any = HERE) -> Any:
        return credentials_access(self.engine, self.project, job, provider, self.told, places)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_without_being_asked_for_there_is_nothing(world: World) -> None:
    with world.access(provider=None) as access:
        assert access is None
        assert world.engine.empty


def test_a_job_has_a_network_of_its_own_that_leads_only_here(world: World) -> None:
    with world.access() as access:
        (thing,) = world.engine.things(project=world.project.id)
        assert (thing.name, thing.job, thing.kind) == (access.network, "job-1", "train")
        assert "byoc.owner" in thing.labels, "byoc clean finds it when byoc was killed"
        assert world.engine.internal == {access.network}
        assert get(access.environment, Authorization=token(access.environment)) == (200, GIVEN)
    assert world.engine.empty
    assert world.told.logs == []


def test_two_jobs_have_the_two_places_and_a_third_none(world: World) -> None:
    with world.access("job-1") as first, world.access("job-2") as second:
        for access, address in ((first, "127.0.0.2"), (second, "127.0.0.23")):
            assert urlsplit(access.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]).hostname == address
            assert get(access.environment, Authorization=token(access.environment))[0] == 200
        with pytest.raises(MachineError, match="no place for a credentials endpoint") as caught, world.access("job-3"):
            pass
        assert "byoc clean" in caught.value.hint
        assert sorted(world.engine.networks) == ["byoc-job-1-credentials", "byoc-job-2-credentials"]
    with world.access("job-4") as access:
        assert urlsplit(access.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]).hostname == "127.0.0.2"
    assert world.engine.empty


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x", PLACES[1]),
        ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x", PLACES[1]),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials", PLACES[0]),
    ],
)
def test_the_address_of_our_own_credentials_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, value: str, left: Place
) -> None:
    world.engine.create_network("another", {}, subnet=left.subnet, gateway=left.gateway)
    monkeypatch.setenv(name, value)
    with pytest.raises(MachineError, match="no place for a credentials endpoint"), world.access(places=PLACES):
        pass


def test_what_fails_in_the_block_leaves_nothing(world: World) -> None:
    with pytest.raises(KeyboardInterrupt), world.access():
        raise KeyboardInterrupt
    assert world.engine.empty


def test_an_engine_whose_networks_are_not_this_machine_s(world: World) -> None:
    elsewhere = [Place("203.0.113.0/28", "203.0.113.2")]
    with pytest.raises(MachineError, match="networks are on another machine, or in a virtual one"):
        world.access(places=elsewhere).__enter__()
    assert world.engine.empty
    world.engine.sees_files = False
    with pytest.raises(MachineError, match="the engine is on another machine"):
        world.access().__enter__()
    assert world.engine.empty


def test_another_project_s_network_of_the_same_name_stays(world: World, tmp_path: Path) -> None:
    other = Project(root=tmp_path / "other", image="my-model")
    world.engine.create_network("byoc-job-1", {"byoc.project": other.id, "byoc.job": "job-1"})
    with world.access():
        pass
    assert list(world.engine.networks) == ["byoc-job-1"]


def test_t28_every_host_is_on_the_network_and_knows_the_way(world: World) -> None:
    image = world.engine.add_image("my-model")
    job = TrainingJob("job-1", image, "my-model", instance_count=2, environment={"AWS_CONTAINER_X": "the user's"})
    inputs = {host: HostInputs() for host in job.hosts}
    with (
        world.access() as access,
        job_hosts(world.engine, world.project, job, inputs, world.told, access=access) as hosts,
    ):
        assert [life.networks for life in world.engine.lives.values()] == [["byoc-job-1", access.network]] * 2
        assert len(hosts) == 2
    for spec in world.engine.specs:
        aws = {name for name in spec.environment if name.startswith("AWS_")}
        assert aws == {"AWS_REGION", "AWS_CONTAINER_X", *access.environment}
        assert "MARKER" not in str(spec)
    assert world.engine.empty
