"""The real engine does what tests/engine_contract.py says, as the fake does."""

from __future__ import annotations

import gc
import io
import secrets
import tarfile
import warnings
from collections.abc import Callable, Iterator

import docker
import pytest

from byoc_cli.engine.docker_engine import DockerEngine, connect
from byoc_cli.engine.types import Container
from tests.engine_contract import PROGRAMS, EngineContract
from tests.fakes import not_executable

STAND_IN = "byoc-base:bookworm-py3.11"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def real() -> Iterator[DockerEngine]:
    engine = connect()
    yield engine
    engine.api.close()


@pytest.fixture(scope="module")
def programs_image(docker_client: docker.DockerClient) -> Iterator[str]:
    """An image with the contract's programs as shell scripts on its PATH."""
    name = f"byoc-contract:{secrets.token_hex(4)}"
    made = docker_client.api.create_container(STAND_IN, ["true"])["Id"]
    docker_client.api.put_archive(made, "/usr/local/bin", _scripts())
    repository, tag = name.split(":")
    docker_client.api.commit(made, repository, tag)
    docker_client.api.remove_container(made)
    yield name
    docker_client.api.remove_image(name, force=True)


def _scripts() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (program, script) in PROGRAMS.items():
            data = f"#!/bin/sh\n{script}\n".encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644 if program is not_executable else 0o755
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class TestDockerEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def collected(self) -> Iterator[None]:
        """docker-py never closes the connection of an attach: the garbage collector does, and it warns."""
        yield
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    @pytest.fixture
    def engine(self, real: DockerEngine) -> DockerEngine:
        return real

    @pytest.fixture
    def image(self, programs_image: str) -> str:
        return programs_image

    def test_ports_are_open_to_this_machine_only(
        self, make: Callable[..., Container], docker_client: docker.DockerClient
    ) -> None:
        container = make("listen", ports={8080: 0})
        container.start()
        ports = docker_client.api.inspect_container(container.id)["NetworkSettings"]["Ports"]
        assert [binding["HostIp"] for binding in ports["8080/tcp"]] == ["127.0.0.1"]
        container.kill()

    def test_a_memory_limit_leaves_no_swap(
        self, make: Callable[..., Container], docker_client: docker.DockerClient
    ) -> None:
        config = docker_client.api.inspect_container(make("talk", memory=256 << 20).id)["HostConfig"]
        assert (config["Memory"], config["MemorySwap"]) == (256 << 20, 256 << 20)

    def test_limits_of_cpu_time_and_of_processes(
        self, make: Callable[..., Container], docker_client: docker.DockerClient
    ) -> None:
        container = make("polite", cpus=0.5, pids=100)
        config = docker_client.api.inspect_container(container.id)["HostConfig"]
        assert (config["CpuQuota"] / config["CpuPeriod"], config["PidsLimit"]) == (0.5, 100)
        container.start()
        container.free_cpus()
        assert docker_client.api.inspect_container(container.id)["HostConfig"]["CpuQuota"] == -1
        container.remove()
        container.free_cpus()  # it may be gone

    def test_what_it_changed_and_its_first_process(self, make: Callable[..., Container]) -> None:
        container = make("polite")
        assert container.pid() == 0
        container.start()
        assert next(container.output()) == ("stdout", b"ready\n")
        assert container.pid() > 0
        container.kill()
        wrote = make("python3", "-c", "open('/srv/new', 'w')")
        wrote.start()
        wrote.wait()
        assert "/srv/new" in wrote.changes()
        assert wrote.pid() == 0

    def test_a_signal_is_remembered_when_the_engine_has_forgotten_it(
        self, make: Callable[..., Container], programs_image: str, docker_client: docker.DockerClient
    ) -> None:
        """Docker keeps the last 256 events, of all containers; a job may save for 120 s while others come and go."""
        container = make("polite")
        container.start()
        assert next(container.output()) == ("stdout", b"ready\n")
        container.stop(10)
        name, _, tag = programs_image.partition(":")
        for _ in range(300):
            docker_client.api.tag(programs_image, name, tag)
        assert container.was_signalled()

    def test_more_memory_than_the_limit_is_told_from_a_kill(self, make: Callable[..., Container]) -> None:
        """T-35: 137 alone says neither."""
        container = make("python3", "-c", "bytearray(1 << 30)", memory=64 << 20)
        container.start()
        assert (container.wait().code, container.wait().out_of_memory) == (137, True)
