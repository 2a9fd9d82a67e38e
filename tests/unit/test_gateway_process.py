"""The process of a detached local endpoint, and how it knows that its container has ended."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from byoc_cli.errors import ByocError
from byoc_cli.local.gateway import status
from byoc_cli.local.gateway.detached import LogProgress, stop_others, wait_for_end
from byoc_cli.local.gateway.process import ProcessGateway, log_file
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.project import Project
from tests.fakes import FakeContainer, FakeEngine, Told
from tests.unit.gateway_world import eventually
from tests.unit.test_running import start, until_stopped

PROGRAM = "byoc_cli.commands.endpoint_process"


def running(engine: FakeEngine) -> FakeContainer:
    """A detached endpoint's container."""
    engine.add_image("x:1", {"train": until_stopped})
    return start(engine, Project(root=engine.files, image="x"), "e", kind="endpoint", owner="")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        yield made


def test_settings_go_to_another_process_as_they_are() -> None:
    settings = Settings("e", ("127.0.0.1:8080",), capture="/tmp/ü", ping_interval=0.5)
    assert Settings.from_json(settings.to_json()) == settings
    assert "\n" not in settings.to_json()


def test_one_that_does_not_start_is_told_with_its_last_words(listener: socket.socket, tmp_path: Path) -> None:
    port = int(listener.getsockname()[1])
    gateway = ProcessGateway(listener, tmp_path / "log", PROGRAM)
    gateway.begin(Settings("e", ("127.0.0.1:1",), capture="/nowhere/file"), ["no-container"])
    with pytest.raises(ByocError) as caught:
        gateway.ready()
    assert caught.value.message.startswith("the local endpoint did not start\n")
    assert "--data-capture /nowhere/file cannot be written" in caught.value.message
    assert "--raw" in caught.value.hint
    assert status.word(port, "e") == status.UNREACHABLE


def test_one_that_is_never_told_of_a_container_ends(listener: socket.socket, tmp_path: Path) -> None:
    gateway = ProcessGateway(listener, tmp_path / "log", PROGRAM)
    process = psutil.Process(gateway._process.pid)
    assert gateway._process.stdin
    gateway._process.stdin.close()
    assert process.wait(60) == 0
    gateway.end()


@pytest.mark.parametrize("gone", ["ended", "removed"])
def test_the_end_of_a_container_is_seen(tmp_path: Path, gone: str) -> None:
    engine = FakeEngine(tmp_path)
    container = running(engine)
    watched = threading.Thread(target=wait_for_end, args=(lambda: engine, container.id), daemon=True)
    watched.start()
    time.sleep(0.05)
    assert watched.is_alive()
    if gone == "ended":
        container.stop(1)
    else:
        container.remove()
    watched.join(60)
    assert not watched.is_alive()
    wait_for_end(lambda: engine, container.id)  # at once: it is known to have ended
    container.remove()


def test_h32_the_end_of_one_of_several_containers_is_the_end_of_all(tmp_path: Path) -> None:
    engine, told = FakeEngine(tmp_path), Told()
    engine.add_image("x:1", {"train": until_stopped})
    project = Project(root=engine.files, image="x")
    one, two, other = (
        start(engine, project, name, kind="endpoint", owner="") for name in ("container-1", "container-2", "other")
    )
    hostnames = {one.id: "container-1", two.id: "container-2"}
    one.stop(1)
    stop_others(engine, hostnames, one.id, told)
    assert two.exited()
    assert other.exited() is None
    assert told.logs == ["container-1 ended: stopping container-2"]
    stop_others(engine, hostnames, one.id, told)  # nothing is left to stop
    assert len(told.logs) == 1
    other.stop(1)


def test_an_engine_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path)
    container = running(engine)
    tries: list[int] = []

    def connect() -> FakeEngine:
        tries.append(1)
        if len(tries) < 3:
            raise ByocError("the engine does not answer")
        return engine

    watched = threading.Thread(target=wait_for_end, args=(connect, container.id, 0.01), daemon=True)
    watched.start()
    assert eventually(lambda: len(tries) == 3)
    assert watched.is_alive()
    container.remove()
    watched.join(60)
    assert not watched.is_alive()


def test_a_log_goes_a_week_after_its_last_line(tmp_path: Path) -> None:
    old, young = log_file(tmp_path, "old"), log_file(tmp_path, "young")
    os.utime(old, (time.time() - 8 * 86_400,) * 2)
    new = log_file(tmp_path, "new")
    assert sorted(path.name for path in new.parent.iterdir()) == ["new.log", young.name]
    assert new.stat().st_mode & 0o077 == 0


def test_what_it_says_is_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        LogProgress().log("it is\nhealthy")
        LogProgress().warn("it is unhealthy\nno answer", "look")
    assert caplog.messages == ["it is: healthy", "it is unhealthy: no answer: hint: look"]


def test_the_port_of_one_that_is_gone_is_free(listener: socket.socket) -> None:
    listener.listen()
    port = int(listener.getsockname()[1])
    gone = threading.Event()

    def end() -> None:
        gone.set()
        listener.close()

    threading.Timer(0.2, end).start()
    begin = time.monotonic()
    status.wait_until_gone(port)
    assert gone.is_set()
    assert time.monotonic() - begin < 14
