"""Asynchronous requests (H-50): an unmodified SDK client, the queue before the container, and what is left of each."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO, Any, cast

import pytest
import requests

from byoc_cli.contract.asynchronous import AsyncInferenceConfig
from byoc_cli.contract.invocation import Account
from byoc_cli.endpoint import Accepted, Client, InvocationFailed
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local import answers
from byoc_cli.local.gateway.queue import Queue
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.gateway.upstream import Upstreams
from byoc_cli.local.places import Found, Places, S3Door, path_of
from tests.fakes import Told
from tests.unit.gateway_world import NAME, World, chunked, eventually, world
from tests.unit.test_endpoint import Answer, Server, drop, reply

SECONDS = 30.0
FAILED = "the asynchronous request"


class Here:
    """A local endpoint whose answers go to `out` and failures to `bad`."""

    def __init__(self, made: World, folder: Path) -> None:
        self.world = made
        self.server = made.server
        self.client = made.boto()
        self.out, self.bad = folder / "out", folder / "bad"
        self.input = folder / "input ü.csv"
        self.input.write_bytes(b"1,2")

    def ask(self, path: Path | None = None, **more: Any) -> dict[str, Any]:
        """InvokeEndpointAsync with a file."""
        location = (path or self.input).as_uri()
        return dict(self.client.invoke_endpoint_async(EndpointName=NAME, InputLocation=location, **more))

    def answer(self, asked: dict[str, Any]) -> bytes:
        """Wait for an answer."""
        path = path_of(asked["OutputLocation"])
        assert eventually(path.exists, SECONDS), self.failures
        return path.read_bytes()

    def failure(self, asked: dict[str, Any]) -> str:
        """Wait for a failure; there is nothing else then."""
        path = path_of(asked["FailureLocation"])
        assert eventually(path.exists, SECONDS)
        assert not path_of(asked["OutputLocation"]).exists()
        assert eventually(lambda: not list(self.out.glob(".*.part")), SECONDS)
        return path.read_text()

    @property
    def failures(self) -> list[str]:
        return [path.read_text() for path in self.bad.glob("*")]


@contextmanager
def here(
    folder: Path, concurrency: int = 4, s3: S3Door | None = None, hostnames: Sequence[str] = ("primary",)
) -> Iterator[Here]:
    config = AsyncInferenceConfig((folder / "out").as_uri(), (folder / "bad").as_uri(), concurrency)
    with world(asynchronous=config, s3=s3, hostnames=hostnames) as made:
        yield Here(made, folder)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Here]:
    with here(tmp_path) as made:
        yield made


def echo(handler: BaseHTTPRequestHandler) -> None:
    body = handler.rfile.read(int(handler.headers["Content-Length"]))
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class Gate:
    """An answer that waits until it is opened; counts who is at it."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.lock = threading.Lock()
        self.bodies: list[bytes] = []
        self.now = self.most = 0

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self.lock:
            self.bodies.append(body)
            self.now += 1
            self.most = max(self.most, self.now)
        self.opened.wait(SECONDS)
        with self.lock:
            self.now -= 1
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


class Bucket:
    """An `ObjectStore` in memory. `sizes` says of an object what is not true."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = {f"s3://b/{key}": content for key, content in objects.items()}
        self.types: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.refuses = ""

    def find(self, uri: str) -> Found | None:
        content = self.objects.get(uri)
        return None if content is None else (self.sizes.get(uri, len(content)), io.BytesIO(content))

    def put(self, uri: str, content: IO[bytes], content_type: str) -> None:
        if self.refuses and uri.startswith(self.refuses):
            raise MachineError(f"{uri} cannot be written\nAccessDenied: no", hint="ask")
        self.types[uri] = content_type
        self.objects[uri] = content.read()  # last: it is what a test waits for


# -- what goes well ----------------------------------------------------------------------------------------------------


def test_d44_an_unmodified_sdk_client(local: Here) -> None:
    local.server.answers = [reply(200, b"0.5\n", "text/csv")]
    asked = local.ask(ContentType="text/csv", Accept="text/csv", CustomAttributes="a=b", InferenceId="mine")
    assert asked["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert asked["InferenceId"] == "mine"
    assert local.answer(asked) == b"0.5\n"
    assert path_of(asked["OutputLocation"]).parent == local.out
    assert path_of(asked["OutputLocation"]).suffix == ".out"
    assert path_of(asked["FailureLocation"]).name == f"{path_of(asked['OutputLocation']).stem}-error.out"
    (came,) = local.world.invocations
    del came["Host"]
    assert came == {
        "Content-Type": "text/csv",
        "Accept": "text/csv",
        "Content-Length": "3",
        "X-Amzn-SageMaker-Custom-Attributes": "a=b",
        "X-Amzn-SageMaker-Inference-Id": "mine",
    }
    assert local.failures == []


def test_h50_without_an_id_it_is_given_one(local: Here) -> None:
    first, second = local.ask(), local.ask()
    assert first["InferenceId"] == path_of(first["OutputLocation"]).stem
    assert first["InferenceId"] != second["InferenceId"]
    assert local.answer(first) == local.answer(second) == b"{}"


def test_h50_a_small_input_may_come_with_the_request(local: Here) -> None:
    local.server.answers = [echo]
    body = b"x" * 128_000
    asked = local.client.invoke_endpoint_async(EndpointName=NAME, Body=body, ContentType="text/plain")
    assert local.answer(asked) == body
    client = local.client
    with pytest.raises(client.exceptions.ValidationError, match="length less than or equal to 128000"):
        client.invoke_endpoint_async(EndpointName=NAME, Body=body + b"x")


def test_h50_a_file_gets_the_name_that_was_asked_for(local: Here) -> None:
    asked = local.ask(Filename="mine.json", S3OutputPathExtension="a/b")
    assert path_of(asked["OutputLocation"]) == local.out / "a" / "b" / "mine.json"
    assert local.answer(asked) == b"{}"


def test_h50_large_inputs_and_answers_are_whole(local: Here) -> None:
    local.server.answers = [echo]
    content = bytes(range(256)) * (5 << 12) + b"end"
    local.input.write_bytes(content)
    asked = local.ask()
    assert local.answer(asked) == content
    assert list(local.out.glob(".*")) == []


def test_h50_200_requests_at_4_at_once_lose_nothing(local: Here) -> None:
    gate = Gate()
    gate.opened.set()
    local.server.answers = [gate.answer]
    client, wanted = local.client, {}
    for number in range(200):
        asked = client.invoke_endpoint_async(EndpointName=NAME, Body=b"%d" % number)
        wanted[path_of(asked["OutputLocation"])] = b"%d" % number
    assert eventually(lambda: all(path.exists() for path in wanted), SECONDS)
    assert {path: path.read_bytes() for path in wanted} == wanted
    assert gate.most <= 4
    assert local.failures == []


def test_h50_so_many_at_once_and_the_others_in_the_order_of_their_coming(tmp_path: Path) -> None:
    gate = Gate()
    with here(tmp_path, concurrency=2) as local:
        local.server.answers = [gate.answer]
        client = local.client
        asked = [client.invoke_endpoint_async(EndpointName=NAME, Body=b"%d" % number) for number in range(6)]
        assert eventually(lambda: gate.now == 2, SECONDS)
        assert sorted(gate.bodies) == [b"0", b"1"]
        gate.opened.set()
        assert [local.answer(one) for one in asked] == [b"%d" % number for number in range(6)]
        assert gate.most == 2
    with here(tmp_path, concurrency=1) as local:
        gate = Gate()
        gate.opened.set()
        local.server.answers = [gate.answer]
        client = local.client
        asked = [client.invoke_endpoint_async(EndpointName=NAME, Body=b"%d" % number) for number in range(20)]
        assert local.answer(asked[-1]) == b"19"
        assert gate.bodies == [b"%d" % number for number in range(20)]


def test_describe_endpoint_shows_it(local: Here) -> None:
    described = requests.get(f"{local.world.url}/endpoints/{NAME}", timeout=60).json()
    assert described["EndpointStatus"] == "InService"
    assert described["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"] == local.out.as_uri()


def test_settings_go_to_another_process_as_they_are() -> None:
    settings = Settings("e", ("127.0.0.1:8080",), asynchronous=AsyncInferenceConfig("s3://a/b", "file:///ü", 7))
    assert Settings.from_json(settings.to_json()) == settings


# -- several containers, and new ones ----------------------------------------------------------------------------------


@pytest.fixture
def row(tmp_path: Path) -> Iterator[Here]:
    """Two containers in a row."""
    with here(tmp_path, hostnames=("container-1", "container-2")) as made:
        made.server.answers = [reply(200, b"prepared", "text/plain")]
        yield made


def test_h32_an_asynchronous_request_goes_through_all(row: Here) -> None:
    row.world.servers[1].answers = [echo]
    asked = row.ask(ContentType="text/csv", Accept="text/csv", CustomAttributes="a=b")
    assert row.answer(asked) == b"prepared"
    came = [row.world.invocations_of(index)[0] for index in range(2)]
    for headers in came:
        del headers["Host"]
    shared = {"X-Amzn-SageMaker-Custom-Attributes": "a=b"}
    assert came == [
        shared | {"Content-Type": "text/csv", "Content-Length": "3"},
        shared | {"Content-Type": "text/plain", "Content-Length": "8", "Accept": "text/csv"},
    ]


@pytest.mark.parametrize(
    ("index", "answer", "said"),
    [
        (0, reply(415, b"not csv"), 'ModelError: Received client error (415) from container-1 with message "not csv"'),
        (1, reply(415, b"not csv"), 'ModelError: Received client error (415) from container-2 with message "not csv"'),
        (1, drop, "ModelError: Received server error (0) from container-2 with message"),
        (1, chunked(b"x"), "ModelError: The response from container container-2 did not specify the required Content"),
    ],
)
def test_h18_the_container_of_a_row_that_fails_is_named(row: Here, index: int, answer: Answer, said: str) -> None:
    row.world.servers[index].answers = [answer]
    assert row.failure(row.ask()).startswith(said)


def test_what_waits_goes_to_the_new_container_and_the_old_one_ends_what_it_began(tmp_path: Path) -> None:
    gate = Gate()
    with here(tmp_path, concurrency=1) as local:
        local.server.answers = [gate.answer]
        asked = [local.ask() for _ in range(3)]
        assert eventually(lambda: gate.now == 1, SECONDS)
        other = Server()
        other.answers = [reply(200, b"new")]
        answered = local.world.gateway.move([f"127.0.0.1:{other.http.server_port}"])
        assert not answered.done()
        gate.opened.set()
        assert [local.answer(one) for one in asked] == [b"1,2", b"new", b"new"]
        answered.result(SECONDS)
        assert len(gate.bodies) == 1
        assert local.failures == []
        local.world.gateway.end()
        other.close()


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["invoke_endpoint", "invoke_endpoint_with_response_stream"])
def test_h50_an_asynchronous_endpoint_takes_no_other_requests(local: Here, operation: str) -> None:
    client = local.client
    with pytest.raises(client.exceptions.ValidationError, match="is asynchronous"):
        getattr(client, operation)(EndpointName=NAME, Body=b"x")
    with Client_(local.world.url) as plain, pytest.raises(InvocationFailed) as caught:
        plain.invoke(b"x", content_type="text/csv")
    assert caught.value.message.startswith(
        "this endpoint is asynchronous (H-50)\nSageMaker would say: ValidationError: "
    )
    assert caught.value.hint == "byoc predict --async"
    assert local.world.invocations == []


def test_h50_a_real_time_endpoint_takes_no_asynchronous_requests() -> None:
    with world() as made:
        client = made.boto()
        with pytest.raises(client.exceptions.ValidationError, match="is real-time: it is invoked with InvokeEndpoint"):
            client.invoke_endpoint_async(EndpointName=NAME, Body=b"x")
        with Client_(made.url) as plain, pytest.raises(InvocationFailed) as caught:
            plain.invoke_async(b"x", {})
        assert "--async-output" in caught.value.hint
        # A container without a local endpoint before it.
        with Client_(f"http://127.0.0.1:{made.server.http.server_port}") as plain:
            made.server.answers = [reply(404)]
            with pytest.raises(InvocationFailed, match="takes no asynchronous requests\nits answer was 404"):
                plain.invoke_async(b"x", {})


@contextmanager
def Client_(url: str) -> Iterator[Client]:  # noqa: N802 - a client that is closed
    client = Client(url)
    yield client
    client.close()


def test_h50_what_is_wrong_is_said_at_once(local: Here) -> None:
    client = local.client
    for more, said in (
        ({"RequestTTLSeconds": 21_601}, "requestTTLSeconds"),
        ({"InvocationTimeoutSeconds": 3601}, "invocationTimeoutSeconds"),
        ({"S3OutputPathExtension": "../.."}, "s3OutputPathExtension"),
        ({"InputLocation": "https://x/y"}, "inputLocation"),
        ({"InferenceId": "i" * 65}, "inferenceId"),
        ({"EndpointName": "other"}, "Endpoint other of account 000000000000 not found"),
    ):
        words: dict[str, Any] = {"EndpointName": NAME, "InputLocation": local.input.as_uri(), **more}
        with pytest.raises(client.exceptions.ValidationError, match=said):
            client.invoke_endpoint_async(**words)
    assert local.world.invocations == []
    assert local.world.told.logs == []


def test_nobody_is_let_through_before_it_is_ready(tmp_path: Path) -> None:
    config = AsyncInferenceConfig(tmp_path.as_uri(), tmp_path.as_uri())
    with world(ready=False, asynchronous=config) as made:
        answer = requests.post(f"{made.url}/async-invocations", b"x", timeout=60)
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (503, "ServiceUnavailable")


# -- what fails leaves a failure, and nothing half-written -------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            reply(500, b"no memory"),
            'ModelError: Received server error (500) from primary with message "no memory". See',
        ),
        (reply(400, b"shape"), 'ModelError: Received client error (400) from primary with message "shape". See'),
        (drop, "ModelError: Received server error (0) from primary with message"),
        (
            chunked(b"a", b"b"),
            "ModelError: The response from container primary did not specify the required Content-Length header",
        ),
    ],
)
def test_h50_an_answer_that_is_none(local: Here, answer: Answer, said: str) -> None:
    local.server.answers = [answer]
    asked = local.ask()
    assert local.failure(asked).startswith(said)
    assert eventually(lambda: len(local.world.told.logs) == 1, SECONDS)
    assert local.world.told.logs[0].startswith(f"{FAILED} {asked['InferenceId']} failed\n{said}")


def test_h50_an_answer_that_breaks_off_is_not_kept(local: Here) -> None:
    half, broken = threading.Event(), threading.Event()

    def breaks(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.send_response(200)
        handler.send_header("Content-Length", "4000000")
        handler.end_headers()
        handler.wfile.write(b"x" * 2_000_000)
        half.set()
        broken.wait(SECONDS)
        handler.close_connection = True

    local.server.answers = [breaks]
    asked = local.ask()
    assert half.wait(SECONDS)
    assert eventually(lambda: any(path.stat().st_size for path in local.out.glob(".*.part")), SECONDS)
    assert not path_of(asked["OutputLocation"]).exists()
    broken.set()
    assert "could not get a response" in local.failure(asked)


def test_h50_an_answer_has_its_time(local: Here) -> None:
    gate = Gate()
    local.server.answers = [gate.answer]
    begin = time.monotonic()
    asked = local.ask(InvocationTimeoutSeconds=1)
    assert "Your invocation timed out while waiting for a response from container primary" in local.failure(asked)
    assert time.monotonic() - begin >= 1
    gate.opened.set()


def test_h21_an_input_has_at_most_1_gb(local: Here) -> None:
    with local.input.open("wb") as file:
        file.truncate((1 << 30) + 1)
    said = local.failure(local.ask())
    assert said.startswith("ClientError: file://")
    assert "has 1,073,741,825 bytes; an asynchronous request has at most 1,073,741,824 (1 GB, H-50)" in said
    assert local.world.invocations == []


def test_inputs_that_cannot_be_read(local: Here, tmp_path: Path) -> None:
    assert local.failure(local.ask(tmp_path / "nowhere")).startswith("ClientError: there is nothing at file:///")
    assert local.failure(local.ask(tmp_path)) == f"ClientError: {tmp_path} is no file\n"
    assert local.world.invocations == []


def test_an_output_that_cannot_be_written_is_a_failure(local: Here) -> None:
    local.out.write_text("a file")
    asked = local.ask()
    assert eventually(path_of(asked["FailureLocation"]).exists, SECONDS)
    assert path_of(asked["FailureLocation"]).read_text().startswith("InternalServerError: ")
    local.bad.rename(local.bad.with_name("gone"))
    local.bad.write_text("a file, too")
    local.ask()
    assert eventually(lambda: bool(local.world.told.warnings), SECONDS)
    assert local.world.told.warnings[0][0].startswith(f"no failure could be written to {local.bad.as_uri()}/")


def test_the_end_of_an_endpoint_is_the_failure_of_what_waits(tmp_path: Path) -> None:
    gate = Gate()
    with here(tmp_path, concurrency=1) as local:
        local.server.answers = [gate.answer]
        asked = [local.ask() for _ in range(3)]
        assert eventually(lambda: gate.now == 1, SECONDS)
        local.world.gateway.ending()
        failures = [path_of(one["FailureLocation"]) for one in asked[1:]]
        assert eventually(lambda: all(path.exists() for path in failures), SECONDS)
        said = {"InternalServerError: The endpoint ended before the request was begun.\n"}
        assert {path.read_text() for path in failures} == said
        warning = "the endpoint ends before 2 asynchronous requests could be begun"
        assert local.world.told.warnings == [(warning, "")]
        refused = requests.post(f"{local.world.url}/async-invocations", b"x", timeout=60)
        assert refused.status_code == 503
        gate.opened.set()
        assert local.answer(asked[0]) == b"1,2", "what was begun is answered"
        assert len(gate.bodies) == 1


class Crowded(Bucket):
    """Takes its time, and counts who writes at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.now = self.most = 0

    def put(self, uri: str, content: IO[bytes], content_type: str) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)
        with self.lock:
            self.now -= 1
        super().put(uri, content, content_type)


def test_of_many_that_wait_at_the_end_not_all_are_written_at_once() -> None:
    gate, bucket = Gate(), Crowded()
    with world(asynchronous=AsyncInferenceConfig("s3://b/out", "s3://b/bad", 1), s3=lambda: bucket) as made:
        made.server.answers = [gate.answer]
        with requests.Session() as session:
            for _ in range(301):
                answer = session.post(f"{made.url}/async-invocations", b"x", timeout=SECONDS)
                assert answer.status_code == 202
        assert eventually(lambda: gate.now == 1, SECONDS)
        made.gateway.ending()
        assert eventually(lambda: len(bucket.objects) == 300, SECONDS)
        assert 1 < bucket.most <= 64
        gate.opened.set()
        assert eventually(lambda: len(bucket.objects) == 301, SECONDS)


def test_nothing_is_lost_when_it_ends(tmp_path: Path) -> None:
    gate = Gate()
    with here(tmp_path, concurrency=2) as local:
        local.server.answers = [gate.answer]
        asked = [local.ask() for _ in range(10)]
        assert eventually(lambda: gate.now == 2, SECONDS)
        threading.Timer(0.1, gate.opened.set).start()
        local.world.gateway.end()
        for one in asked:
            places = [path_of(one["OutputLocation"]), path_of(one["FailureLocation"])]
            assert sum(place.exists() for place in places) == 1
        assert list(local.out.glob(".*")) == []


# -- the time that a request may wait ----------------------------------------------------------------------------------


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time can be set forward."""

    shift = 0.0

    def time(self) -> float:
        return super().time() + self.shift


class Held:
    """A container that answers nobody, and an endpoint's only one."""

    def __init__(self) -> None:
        self.asked = 0
        self.all = [self]

    def at_work(self) -> AbstractContextManager[None]:
        return nullcontext()

    @asynccontextmanager
    async def invoke(self, *_: object) -> AsyncIterator[None]:
        self.asked += 1
        await asyncio.Event().wait()
        yield


def test_h50_a_request_that_waits_too_long_expires(tmp_path: Path) -> None:
    held, told = Held(), Told()
    config = AsyncInferenceConfig(tmp_path.as_uri(), tmp_path.as_uri(), 1)

    async def run() -> None:
        loop = cast("Clock", asyncio.get_running_loop())
        queue = Queue(config, Account("e", "r", "0"), cast("Upstreams", held), Places(None), told)
        queue.accept({}, b"at work")
        short = queue.accept({"X-Amzn-SageMaker-RequestTTLSeconds": "60"}, b"x")
        long = queue.accept({}, b"x")
        loop.shift = 30
        await asyncio.sleep(0.05)
        assert list(tmp_path.glob("*-error.out")) == []
        loop.shift = 61
        while not path_of(short.failure).exists():
            await asyncio.sleep(0.01)
        said = "ClientError: The request was not begun within its RequestTTLSeconds (60 s).\n"
        assert path_of(short.failure).read_text() == said
        assert not path_of(long.failure).exists()
        assert held.asked == 1
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(asyncio.wait_for(run(), 200))


# -- S3 ----------------------------------------------------------------------------------------------------------------


def test_h50_input_and_output_in_s3() -> None:
    bucket = Bucket(**{"in": b"1,2"})
    with world(asynchronous=AsyncInferenceConfig("s3://b/out", "s3://b/bad"), s3=lambda: bucket) as made:
        made.server.answers = [reply(200, b"yes", "text/plain")]
        client = made.boto()
        asked = client.invoke_endpoint_async(EndpointName=NAME, InputLocation="s3://b/in")
        assert eventually(lambda: asked["OutputLocation"] in bucket.objects, SECONDS)
        assert bucket.objects[asked["OutputLocation"]] == b"yes"
        assert bucket.types[asked["OutputLocation"]] == "text/plain"

        missing = client.invoke_endpoint_async(EndpointName=NAME, InputLocation="s3://b/nowhere")
        assert eventually(lambda: missing["FailureLocation"] in bucket.objects, SECONDS)
        assert bucket.objects[missing["FailureLocation"]] == b"ClientError: there is nothing at s3://b/nowhere\n"

        bucket.sizes["s3://b/in"] = 10
        short = client.invoke_endpoint_async(EndpointName=NAME, InputLocation="s3://b/in")
        assert eventually(lambda: short["FailureLocation"] in bucket.objects, SECONDS)
        said = b"ClientError: s3://b/in has become shorter while it was read\n"
        assert bucket.objects[short["FailureLocation"]] == said

        del bucket.sizes["s3://b/in"]
        bucket.refuses = "s3://b/out"
        denied = client.invoke_endpoint_async(EndpointName=NAME, InputLocation="s3://b/in")
        assert eventually(lambda: denied["FailureLocation"] in bucket.objects, SECONDS)
        said = b"InternalServerError: %s cannot be written: AccessDenied: no\n" % denied["OutputLocation"].encode()
        assert bucket.objects[denied["FailureLocation"]] == said
        assert "hint: ask" in made.told.logs[-1]


def test_whatever_goes_wrong_leaves_a_failure(tmp_path: Path) -> None:
    def broken() -> Bucket:
        raise ValueError("a bug")

    with here(tmp_path, s3=broken) as local:
        asked = local.client.invoke_endpoint_async(EndpointName=NAME, InputLocation="s3://b/in")
        assert local.failure(asked) == "InternalServerError: ValueError: a bug\n"


def test_without_credentials_a_request_fails_in_their_words(tmp_path: Path) -> None:
    def none() -> Bucket:
        raise MachineError("there are no AWS credentials\nnone are in ~/.aws", hint="log in")

    with here(tmp_path, s3=none) as local:
        asked = local.client.invoke_endpoint_async(EndpointName=NAME, InputLocation="s3://b/in")
        assert local.failure(asked) == "ClientError: there are no AWS credentials: none are in ~/.aws\n"


# -- the caller's side -------------------------------------------------------------------------------------------------


def test_an_answer_is_waited_for(tmp_path: Path) -> None:
    asked = Accepted("i", (tmp_path / "a.out").as_uri(), (tmp_path / "a-error.out").as_uri())
    (tmp_path / "part").write_bytes(b"yes")
    threading.Timer(0.1, lambda: (tmp_path / "part").rename(tmp_path / "a.out")).start()
    reader = answers.wait(Places(None), asked, lambda: True, Told())
    assert reader.read(10) == b"yes"
    reader.close()


@pytest.mark.parametrize(
    ("said", "kind"), [("ModelError: the response did not", InvocationFailed), ("ClientError: nothing", ByocError)]
)
def test_a_failure_is_an_error(tmp_path: Path, said: str, kind: type[ByocError]) -> None:
    (tmp_path / "a-error.out").write_text(f"{said}\n")
    asked = Accepted("i", (tmp_path / "a.out").as_uri(), (tmp_path / "a-error.out").as_uri())
    with pytest.raises(ByocError) as caught:
        answers.wait(Places(None), asked, lambda: True, Told())
    assert type(caught.value) is kind
    assert caught.value.message.startswith(f"the request failed\nSageMaker would say: {said}\nwritten to {tmp_path}/")


def test_an_endpoint_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    asked = Accepted("i", (tmp_path / "a.out").as_uri(), "")
    with pytest.raises(ByocError, match="the endpoint has ended without an answer"):
        answers.wait(Places(None), asked, lambda: False, Told(), gone_seconds=0.1)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with Client_(f"http://127.0.0.1:{held.getsockname()[1]}") as client:
            assert not client.reachable()


def test_old_answers_of_our_own_endpoints_go(tmp_path: Path) -> None:
    config = answers.own_config(tmp_path)
    folder = tmp_path / "async" / "extension"
    folder.mkdir()
    old, deeper, young = tmp_path / "async" / "old.out", folder / "old.out", tmp_path / "async" / "young.out"
    for path in (old, deeper, young):
        path.touch()
    for path in (old, deeper, folder):
        os.utime(path, (time.time() - 8 * 86_400,) * 2)
    assert answers.own_config(tmp_path) == config
    assert (old.exists(), deeper.exists(), young.exists()) == (False, False, True)
