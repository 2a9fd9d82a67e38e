"""An endpoint's start, as far as it needs no container that is a real one."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from byoc_cli import project as projects
from byoc_cli.engine.types import ContainerSpec
from byoc_cli.errors import ByocError, Interrupted
from byoc_cli.local.gateway.process import Gateway
from byoc_cli.local.gateway.settings import Settings
from byoc_cli.local.hosting import Definition, EndpointFailed, EndpointRequest, serve_detached, serving
from byoc_cli.project import Project
from tests import ports
from tests.commands import programs
from tests.fakes import Box, FakeContainer, FakeEngine, Told
from tests.unit.gateway_world import eventually


class Greedy(FakeEngine):
    """An engine that is asked for a container when another program wants the endpoint's port."""

    port = 0
    refused = False

    def create(self, spec: ContainerSpec) -> FakeContainer:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                other.bind(("127.0.0.1", self.port))
                other.listen()
            except OSError:
                self.refused = True
        return super().create(spec)


class Pressed:
    """A local endpoint that is ready when somebody presses Ctrl-C; `ended` when it was told to end."""

    ended = False

    def begin(self, settings: Settings, containers: Sequence[str]) -> None:
        pass

    def ready(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def ending(self) -> None:
        pass

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "byoc.toml").write_text('image = "my-model"\n')
    return projects.load(tmp_path)


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Greedy]:
    made = Greedy(tmp_path_factory.mktemp("engine"))
    made.add_image("my-model:latest", {"serve": programs.serve})
    made.port = ports.free_port()
    yield made
    assert made.empty


def request(engine: Greedy, **more: object) -> EndpointRequest:
    image = engine.image("my-model:latest")
    assert image
    return EndpointRequest("e", [Definition(image, "my-model:latest", None)], port=engine.port, **more)  # type: ignore[arg-type]


def test_its_port_is_its_own_from_the_first_moment(engine: Greedy, project: Project) -> None:
    with serving(engine, project, request(engine), Told()) as (ready, _):
        assert engine.refused
        assert ready.url == f"http://127.0.0.1:{engine.port}/invocations"


def test_ctrl_c_when_a_detached_one_has_just_become_ready(engine: Greedy, project: Project) -> None:
    local, told = Pressed(), Told()

    def launch(_: socket.socket, __: Path) -> Gateway:
        return local

    with pytest.raises(Interrupted):
        serve_detached(engine, project, request(engine, detached=True), told, launch)
    assert local.ended
    assert "stopping; press Ctrl-C again to stop at once" in told.logs


def for_a_moment(box: Box) -> programs.Printed:
    """A server that answers one ping, and dies."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    with HTTPServer((box.address, box.port(8080)), Handler) as server:
        server.handle_request()
    yield "stderr", b"no worker\n"
    return 3


def test_h27_a_container_that_dies_when_it_was_just_ready_is_what_is_wrong(engine: Greedy, project: Project) -> None:
    engine.add_image("my-model:latest", {"serve": for_a_moment})

    class Ended(Pressed):
        def ready(self) -> None:
            assert eventually(lambda: all(life.state != "running" for life in engine.lives.values()))
            raise ByocError("the local endpoint did not start")

    with pytest.raises(EndpointFailed, match="the container ended before it was ready\nits last lines:\n  no worker\n"):
        serve_detached(engine, project, request(engine, detached=True), Told(), lambda _, __: Ended())


def test_what_fails_inside_is_not_said_of_the_folder_of_models(
    engine: Greedy, project: Project, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    asked = request(engine, models=tmp_path / "models", detached=True)

    def launch(_: socket.socket, __: Path) -> Gateway:
        raise OSError(12, "Cannot allocate memory")

    with pytest.raises(OSError, match="Cannot allocate memory"):
        serve_detached(engine, project, asked, Told(), launch)
    (project.home / "endpoints" / "f").write_text("a file")
    blocked = EndpointRequest("f", asked.containers, port=engine.port, models=asked.models)
    with pytest.raises(ByocError, match=r"endpoints/f cannot be written"), serving(engine, project, blocked, Told()):
        pass
