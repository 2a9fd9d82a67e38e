"""Many models behind one container: loaded when asked for, unloaded when it has no room, and what goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from byoc_cli.contract import hosting, invocation
from byoc_cli.contract.multi_model import name_of
from byoc_cli.endpoint import Client, InvocationFailed
from tests.unit.gateway_world import NAME, World, eventually, world
from tests.unit.many_world import SECONDS, Many, ManyWorld, archive, many_world

ONCE = Config(retries={"max_attempts": 0})


@pytest.fixture
def two(tmp_path: Path) -> Iterator[ManyWorld]:
    """A container with room for two models."""
    with many_world(tmp_path, Many(room=2)) as made:
        yield made
        assert made.many.wrongs == []


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a container waits for; open at the end, so that nothing hangs."""
    event = threading.Event()
    yield event
    event.set()


def told(world: World) -> str:
    return "\n".join([*world.told.logs, *(text for text, _ in world.told.warnings)])


# -- loading -----------------------------------------------------------------------------------------------------------


def test_h36_a_model_is_loaded_when_it_is_first_asked_for(two: ManyWorld) -> None:
    assert two.many.calls == []
    assert [two.call("a.tar.gz").text for _ in range(2)] == ["a x", "a x"]
    assert two.many.calls == ["POST /models", *["POST /models/a.tar.gz/invoke"] * 2]
    name = name_of("a.tar.gz")
    assert two.many.bodies == [{"model_name": name, "url": f"/opt/ml/models/{name}/model"}]
    assert "a.tar.gz" not in name
    assert two.loaded() == ["a.tar.gz"]
    assert "model a.tar.gz loaded in " in told(two.local)


def test_h36_those_that_come_first_at_the_same_time_load_it_once(two: ManyWorld, gate: threading.Event) -> None:
    def slowly(_: str) -> None:
        gate.wait(SECONDS)

    two.many.on_load = slowly
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(two.call, "a.tar.gz", str(number).encode()) for number in range(8)]
        assert eventually(lambda: bool(two.many.bodies), SECONDS)
        gate.set()
        assert [answer.result().text for answer in answers] == [f"a {number}" for number in range(8)]
    assert two.many.asked("POST /models") == 1


def test_h36_409_is_as_good_as_loaded(two: ManyWorld) -> None:
    two.many.loaded[name_of("a.tar.gz")] = "a.tar.gz"
    assert two.call("a.tar.gz").text == "a x"


def test_h36_a_model_that_the_container_refuses(two: ManyWorld) -> None:
    two.many.on_load = lambda _: (500, b"bad weights")
    answer = two.call("a.tar.gz")
    assert (answer.status_code, answer.json()["OriginalStatusCode"]) == (424, 500)
    assert answer.json()["OriginalMessage"] == "bad weights"
    assert "POST /models for a.tar.gz" in answer.headers[invocation.CAUSE_HEADER]
    assert "model a.tar.gz was not loaded" in told(two.local)
    two.many.on_load = lambda _: None
    assert two.call("a.tar.gz").text == "a x"


def test_what_a_container_says_of_a_model_fits_into_a_header(two: ManyWorld) -> None:
    two.many.on_load = lambda _: (500, "kein Gerät\r\nin Zeile 1\0\n".encode() + b"x" * 64_000)
    answer = two.call("a.tar.gz")
    assert (answer.status_code, len(answer.json()["OriginalMessage"])) == (424, 2048)
    client = Client(two.local.url)
    with pytest.raises(InvocationFailed, match="kein Gerät: in Zeile 1 : xxx") as caught:
        client.invoke(b"x", content_type="text/csv", headers={hosting.TARGET_MODEL_HEADER: "a.tar.gz"})
    client.close()
    assert "xxx…\nSageMaker would say: ModelError: Received server error (500)" in caught.value.message


def test_a_new_archive_is_found_and_a_model_in_a_folder(two: ManyWorld) -> None:
    assert two.call("sub/new.tar.gz").status_code == 400
    archive(two.folder / "sub" / "new.tar.gz", {"weights": b"new"})
    assert two.call("sub/new.tar.gz").text == "new x"


# -- unloading ---------------------------------------------------------------------------------------------------------


def test_h36_507_unloads_what_was_used_least_recently(two: ManyWorld) -> None:
    for letter in "abac":
        assert two.call(f"{letter}.tar.gz").text == f"{letter} x"
    assert two.many.calls[-6:] == [
        "POST /models",
        *["GET /models"] * 2,  # H-37: in pages
        "DELETE /models/b.tar.gz",
        "POST /models",
        "POST /models/c.tar.gz/invoke",
    ]
    assert two.loaded() == ["a.tar.gz", "c.tar.gz"]
    assert "model b.tar.gz unloaded: the container has no memory for c.tar.gz (507)" in told(two.local)


def test_h36_507_of_one_that_is_alone_is_a_model_error(tmp_path: Path) -> None:
    with many_world(tmp_path, Many(room=0)) as none:
        answer = none.call("a.tar.gz")
        assert (answer.status_code, answer.json()["OriginalStatusCode"]) == (424, 507)
        assert "no other model is loaded" in answer.headers[invocation.CAUSE_HEADER]
        assert none.many.calls == ["POST /models", "GET /models"]


def test_h39_a_model_is_not_unloaded_in_the_middle_of_an_invocation(tmp_path: Path, gate: threading.Event) -> None:
    busy = threading.Event()

    def slowly(target: str) -> None:
        if target == "a.tar.gz":
            busy.set()
            gate.wait(SECONDS)

    with many_world(tmp_path, Many(room=1)) as one, ThreadPoolExecutor(2) as pool:
        one.many.on_invoke = slowly
        first = pool.submit(one.call, "a.tar.gz")
        assert busy.wait(SECONDS)
        second = pool.submit(one.call, "b.tar.gz")
        # It has been refused, and has asked for what is loaded: now it waits.
        assert eventually(lambda: one.many.asked("GET /models") == 1, SECONDS)
        assert one.many.asked("DELETE /models/a.tar.gz") == 0
        gate.set()
        assert (first.result().text, second.result().text) == ("a x", "b x")
        assert one.many.asked("DELETE /models/a.tar.gz") == 1
        assert one.many.wrongs == []


def test_h39_one_that_is_idle_goes_before_one_that_is_in_use(two: ManyWorld, gate: threading.Event) -> None:
    busy = threading.Event()

    def slowly(target: str) -> None:
        if target == "a.tar.gz":
            busy.set()
            gate.wait(SECONDS)

    two.many.on_invoke = slowly
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(two.call, "a.tar.gz")
        assert busy.wait(SECONDS)
        assert two.call("b.tar.gz").text == "b x"
        assert two.call("c.tar.gz").text == "c x"  # though a was used less recently
        gate.set()
        assert first.result().text == "a x"


def test_many_callers_and_little_room(two: ManyWorld) -> None:
    targets = [f"{'abcd'[number % 4]}.tar.gz" for number in range(200)]
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda target: two.call(target).text, targets))
    assert answers == [f"{target[0]} x" for target in targets]
    assert len(two.many.loaded) <= 2


# -- what the container says it has ------------------------------------------------------------------------------------


def test_h37_what_the_container_loaded_by_itself_goes_first(two: ManyWorld) -> None:
    two.call("a.tar.gz")
    two.many.loaded["its%2Fown"] = "its/own"
    assert two.call("b.tar.gz").text == "b x"
    assert two.many.asked("DELETE /models/its/own") == 1
    assert two.loaded() == ["a.tar.gz", "b.tar.gz"]


def test_h37_what_is_listed_and_cannot_be_unloaded_is_let_be(two: ManyWorld) -> None:
    two.call("a.tar.gz")
    two.many.loaded["x"] = "x"
    two.many.deaf = True
    answer = two.call("b.tar.gz")
    assert (answer.status_code, answer.json()["OriginalStatusCode"]) == (424, 507)
    assert two.many.asked("DELETE /models/x") == 1
    assert "answered 500 to DELETE /models/x" in told(two.local)
    two.many.deaf = False
    assert two.call("b.tar.gz").text == "b x"


def test_h37_what_the_container_has_no_more_is_not_unloaded(two: ManyWorld) -> None:
    two.call("a.tar.gz")
    two.call("b.tar.gz")
    two.many.loaded = {"x": "x", name_of("b.tar.gz"): "b.tar.gz"}
    assert two.call("c.tar.gz").text == "c x"
    assert two.loaded() == ["b.tar.gz", "c.tar.gz"]


def test_h37_a_list_that_cannot_be_read_is_said_once(two: ManyWorld) -> None:
    two.many.lists = False
    for letter in "abcd":
        assert two.call(f"{letter}.tar.gz").text == f"{letter} x"
    assert told(two.local).count("list of models cannot be read") == 1


def test_h38_a_model_that_the_container_forgot_is_loaded_again(two: ManyWorld) -> None:
    two.call("a.tar.gz")
    two.many.loaded.clear()
    body = b"0123456789" * 200_000  # more than is read at once
    assert two.call("a.tar.gz", body).text == "a 0123456789"
    assert two.many.asked("POST /models") == 2
    assert "the container has forgotten model a.tar.gz" in told(two.local)


def test_h38_whoever_meets_a_forgotten_model_is_answered(two: ManyWorld) -> None:
    with ThreadPoolExecutor(16) as pool:
        for _ in range(5):
            two.call("a.tar.gz")
            two.many.loaded.clear()
            answers = list(pool.map(lambda _: two.call("a.tar.gz").text, range(16)))
            assert answers == ["a x"] * 16


def test_h38_404_may_be_the_models_own_word(two: ManyWorld) -> None:
    two.many.on_invoke = lambda _: (404, b"no such customer")
    answer = two.call("a.tar.gz")
    assert (answer.status_code, answer.json()["OriginalMessage"]) == (424, "no such customer")
    assert two.many.asked("POST /models") == 1


def test_h38_a_load_whose_answer_is_lost_may_have_been_done(two: ManyWorld) -> None:
    def lost(target: str) -> tuple[int, bytes]:
        two.many.loaded[name_of(target)] = target
        return 0, b""

    two.many.on_load = lost
    assert two.call("a.tar.gz").text == "a x"


def test_a_load_whose_answer_is_lost_was_not_done(two: ManyWorld) -> None:
    two.many.on_load = lambda _: (0, b"")
    answer = two.call("a.tar.gz")
    assert (answer.status_code, answer.json()["OriginalStatusCode"]) == (424, 0)
    assert answer.headers[invocation.CAUSE_HEADER].startswith("loading model a.tar.gz: the container closed")


# -- invoking ----------------------------------------------------------------------------------------------------------


def test_h40_an_sdk_invokes_a_model(two: ManyWorld) -> None:
    answer = two.local.boto().invoke_endpoint(
        EndpointName=NAME,
        TargetModel="a.tar.gz",
        Body=b"1,2",
        ContentType="text/csv",
        Accept="text/csv",
        CustomAttributes="a=b",
    )
    assert answer["Body"].read() == b"a 1,2"
    (path, headers) = two.local.server.asked[-1]
    assert path == f"POST /models/{name_of('a.tar.gz')}/invoke"
    del headers["Host"], headers["Content-Length"]
    assert headers == {
        "Content-Type": "text/csv",
        "Accept": "text/csv",
        "X-Amzn-SageMaker-Custom-Attributes": "a=b",
        "X-Amzn-SageMaker-Target-Model": "a.tar.gz",
    }


def test_h40_507_of_an_invocation_unloads_others_and_tries_again(two: ManyWorld) -> None:
    two.call("a.tar.gz")
    two.many.on_invoke = lambda _: (507, b"GPU") if len(two.many.loaded) > 1 else None
    assert two.call("b.tar.gz").text == "b x"
    assert two.loaded() == ["b.tar.gz"]


def test_h40_507_of_an_invocation_that_is_alone(two: ManyWorld) -> None:
    two.many.on_invoke = lambda _: (507, b"GPU")
    answer = two.call("a.tar.gz")
    assert (answer.status_code, answer.json()["OriginalStatusCode"]) == (424, 507)


def test_h16_many_models_need_a_target(two: ManyWorld) -> None:
    client = two.local.boto()
    with pytest.raises(client.exceptions.ValidationError, match="is missing a target model header"):
        client.invoke_endpoint(EndpointName=NAME, Body=b"x")
    with pytest.raises(client.exceptions.ValidationError, match="'targetModel' failed to satisfy"):
        client.invoke_endpoint(EndpointName=NAME, Body=b"x", TargetModel="a" * 1025)
    assert two.many.calls == []


def test_h16_one_model_takes_no_target() -> None:
    with world() as local:
        client = local.boto()
        with pytest.raises(client.exceptions.ValidationError) as caught:
            client.invoke_endpoint(EndpointName=NAME, Body=b"x", TargetModel="m")
        error: Any = caught.value.response
        assert error["Error"]["Message"] == (
            f"Endpoint {NAME} is not a multi-model endpoint and does not support target model header."
        )
        assert local.invocations == []


@pytest.mark.parametrize(
    "target", ["nope.tar.gz", "../prefix/a.tar.gz", "/a.tar.gz", "./a.tar.gz", "a.tar.gz/", "a" * 300, "sub"]
)
def test_a_model_that_is_not_there(two: ManyWorld, target: str) -> None:
    (two.folder / "sub").mkdir()
    answer = two.call(target)
    assert (answer.status_code, answer.headers[invocation.ERROR_HEADER]) == (400, "ValidationError")
    assert answer.json()["Message"] == (
        f"Failed to download model data(bucket: amzn-s3-demo-local, key: prefix/{target}). Please ensure that there is "
        "an object located at the URL and that the role passed to CreateModel has permissions to download the model."
    )
    cause = answer.headers[invocation.CAUSE_HEADER]
    assert ("is a folder, not an archive" if target == "sub" else "there are: a.tar.gz, b.tar.gz") in cause
    assert two.many.calls == []


def test_an_archive_that_is_none(two: ManyWorld) -> None:
    (two.folder / "e.tar.gz").write_text("no archive")
    answer = two.call("e.tar.gz")
    assert (answer.status_code, answer.headers[invocation.ERROR_HEADER]) == (400, "ValidationError")
    assert answer.json()["Message"].startswith("Failed to extract model data archive from URL")
    archive(two.folder / "e.tar.gz", {"weights": b"e"})
    assert two.call("e.tar.gz").text == "e x"


# -- time --------------------------------------------------------------------------------------------------------------


def test_h23_a_model_that_takes_long_is_not_ready_and_is_loaded_all_the_same(
    tmp_path: Path, gate: threading.Event
) -> None:
    many = Many()

    def slowly(_: str) -> None:
        gate.wait(SECONDS)

    many.on_load = slowly
    with many_world(tmp_path, many, invocation_timeout=0.5) as slow:
        client = slow.local.boto(ONCE)
        with pytest.raises(client.exceptions.ModelNotReadyException, match="is not ready for inference yet") as caught:
            client.invoke_endpoint(EndpointName=NAME, Body=b"x", TargetModel="a.tar.gz")
        error: Any = caught.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 429
        gate.set()
        assert eventually(lambda: slow.loaded() == ["a.tar.gz"], SECONDS)
        assert eventually(lambda: slow.call("a.tar.gz").text == "a x", SECONDS)
        assert many.asked("POST /models") == 1


def test_a_load_is_given_up_in_the_end(tmp_path: Path, gate: threading.Event) -> None:
    many = Many()

    def slowly(_: str) -> None:
        gate.wait(SECONDS)

    many.on_load = slowly
    with many_world(tmp_path, many, load_timeout=0.2) as slow:
        answer = slow.call("a.tar.gz")
        assert (answer.status_code, answer.headers[invocation.ERROR_HEADER]) == (429, "ModelNotReadyException")
        assert "given up" in answer.headers[invocation.CAUSE_HEADER]
        gate.set()


def test_h20_an_invocation_that_takes_long_is_no_load(tmp_path: Path, gate: threading.Event) -> None:
    many = Many()
    with many_world(tmp_path, many, invocation_timeout=0.5) as slow:
        assert eventually(lambda: slow.call("a.tar.gz").text == "a x", SECONDS)

        def slowly(_: str) -> None:
            gate.wait(SECONDS)

        many.on_invoke = slowly
        assert "timed out while waiting" in slow.call("a.tar.gz").json()["OriginalMessage"]
        gate.set()


# -- the end -----------------------------------------------------------------------------------------------------------


def test_what_was_unpacked_is_gone_at_the_end(tmp_path: Path) -> None:
    with many_world(tmp_path, Many()) as made:
        made.call("a.tar.gz")
        assert (tmp_path / "unpacked" / "models" / name_of("a.tar.gz") / "model" / "weights").read_text() == "a"
    assert not (tmp_path / "unpacked").exists()


def test_an_end_in_the_middle_of_a_load(tmp_path: Path, gate: threading.Event) -> None:
    many = Many()

    def slowly(_: str) -> None:
        gate.wait(SECONDS)

    many.on_load = slowly
    with ThreadPoolExecutor(1) as pool:
        with many_world(tmp_path, many) as made:
            call = pool.submit(made.call, "a.tar.gz")
            assert eventually(lambda: bool(many.bodies), SECONDS)
            made.local.gateway.end()
            assert not (tmp_path / "unpacked").exists()
            gate.set()
        assert call.exception() is not None


def test_a_capture_has_models_too(tmp_path: Path) -> None:
    file = tmp_path / "capture.jsonl"
    with many_world(tmp_path, Many(), capture=str(file)) as made:
        made.call("a.tar.gz", b"1,2", **{"Content-Type": "text/csv"})
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["captureData"]["endpointInput"]["data"] == "1,2"
