"""The command itself on a real engine: its speed's shape, its files, its end by a signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.integration.pseudo_terminal import PseudoTerminal
from tests.integration.push.engine import Engine, proxied
from tests.integration.world import LABEL, Byoc, wait_for


@pytest.fixture
def slow_engine() -> Iterator[Engine]:
    """The engine, which takes its time to look at files."""
    with proxied() as engine:
        yield engine


def test_the_good_image(byoc: Byoc, good: str, folder: Path) -> None:
    ran = byoc("check", "--json", cwd=folder)
    assert ran.code == 0, ran.stderr
    data = ran.json()
    assert data["image"] == good
    assert (data["summary"]["fail"], data["summary"]["warn"]) == (0, 0)
    assert all(
        set(rule) == {"id", "level", "result", "seen", "cloud", "fix", "source", "seconds"} for rule in data["rules"]
    )


def test_an_image_is_found_by_its_id(byoc: Byoc, good: str, folder: Path, docker_client: docker.DockerClient) -> None:
    image = docker_client.images.get(good)
    ran = byoc("check", str(image.short_id).removeprefix("sha256:"), "--only", "T-01", "--json", cwd=folder)
    assert (ran.code, ran.json()["image"]) == (0, image.id)


def test_on_a_terminal_it_says_what_it_does_and_ctrl_c_ends_it(
    folder: Path, docker_client: docker.DockerClient, slow_engine: Engine
) -> None:
    slow_engine.pause = 0.5
    env = {"DOCKER_HOST": slow_engine.address, "TERM": "xterm-256color"}
    terminal = PseudoTerminal(("check",), folder, env)
    try:
        terminal.until("static: reads the image's configuration and files")
        wait_for(lambda: bool(_containers(docker_client, folder)))
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.text
    finally:
        terminal.close()
    assert _containers(docker_client, folder) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing(
    byoc: Byoc, folder: Path, docker_client: docker.DockerClient, slow_engine: Engine, number: signal.Signals, code: int
) -> None:
    slow_engine.pause = 0.5
    live = byoc.start("check", cwd=folder, env={"DOCKER_HOST": slow_engine.address})
    wait_for(lambda: bool(_containers(docker_client, folder)))
    live.send(number)
    ran = live.end()
    assert (ran.code, ran.stdout) == (code, "")
    assert "Traceback" not in ran.stderr
    assert _containers(docker_client, folder) == []


def test_after_a_kill_clean_removes_it(
    byoc: Byoc, folder: Path, docker_client: docker.DockerClient, slow_engine: Engine
) -> None:
    slow_engine.pause = 0.5
    live = byoc.start("check", cwd=folder, env={"DOCKER_HOST": slow_engine.address})
    wait_for(lambda: bool(_containers(docker_client, folder)))
    live.send(signal.SIGKILL)
    live.end()
    assert len(_containers(docker_client, folder)) == 1
    cleaned = byoc("clean", "--yes", cwd=folder)
    assert cleaned.code == 0, cleaned.stderr
    assert _containers(docker_client, folder) == []


def _containers(client: docker.DockerClient, folder: Path) -> list[str]:
    found = client.api.containers(all=True, filters={"label": [f"{LABEL}={folder}", "byoc.kind=check"]})
    return [row["Names"][0] for row in found]
